"""Which tasks may be answered by another task's result, and which results may answer others."""

import hashlib
import json

from ratchet.contracts.names import Effect, TaskStatus
from ratchet.domain.agent import Agent
from ratchet.domain.semantic_cache import numbers_in
from ratchet.domain.steps import End, StepResult
from ratchet.domain.task import History, Task


def may_be_answered(history: History) -> bool:
    """Whether nothing but the goal decides what the task is about: it has just begun, and inherited nothing."""
    task = history.task
    is_told_more = task.session is not None or task.fork is not None
    return not history.records and not is_told_more and task.model is None


def scope(task: Task, agent: Agent, *, embedding_model: str) -> str:
    """64 hex digits of what two tasks must have in common beside their tenant before their goals are compared.

    The user is part of it, as tools may know who asks; so are the numbers in the goal, and whatever chooses other
    models.
    """
    common = [
        agent.name,
        agent.version,
        embedding_model,
        numbers_in(task.goal),
        task.user_id,
        task.rating.complexity if task.rating else None,
        task.routes.to_json() if task.routes else None,
    ]
    return hashlib.sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()


def is_reusable(history: History, agent: Agent) -> bool:
    """Whether the task succeeded by itself, as this agent, without an effect on the world."""
    task, end = history.task, history.next
    return (
        isinstance(end, End)
        and end.status is TaskStatus.SUCCEEDED
        and task.agent == agent.name
        and task.fork is None
        and all(
            (record.result.agent_version or task.agent_version) == agent.version
            and _only_read(record.result, agent)
            for record in history.records
        )
    )


def _only_read(result: StepResult, agent: Agent) -> bool:
    if result.decision is not None or result.similar is not None:
        return False
    asked = [call.name for message in result.messages for call in message.tool_calls]
    tools = [agent.toolbox.get(name) for name in asked]
    # A call of a tool that the agent does not have was refused: nothing happened.
    return all(tool is None or tool.effect is Effect.READ for tool in tools)
