"""Spans of a task's trace: their ids follow from the task's, so nothing has to be stored or carried to join them.

A task is one trace across its steps, retries, executions, questions and resumes: `invoke_agent` is the task, below it
is every attempt at a step, below that its `chat` and `execute_tool` spans. Names and attributes are those of the
OpenTelemetry semantic conventions, pinned to SCHEMA_URL; what these do not name begins with `ratchet.`. No span holds
a word of a caller, a model or a tool.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

from ratchet.contracts.messages import StepInput, TaskRef
from ratchet.domain.steps import End
from ratchet.domain.task import History, Task

SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.1"
"""The last release that holds the GenAI conventions; since then they have a repository of their own, without releases.

https://github.com/open-telemetry/semantic-conventions/tree/v1.41.1/docs/gen-ai
"""

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
AGENT_NAME = "gen_ai.agent.name"
AGENT_VERSION = "gen_ai.agent.version"
CONVERSATION = "gen_ai.conversation.id"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
FINISH_REASONS = "gen_ai.response.finish_reasons"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
TOOL_NAME = "gen_ai.tool.name"
TOOL_TYPE = "gen_ai.tool.type"
TOOL_CALL_ID = "gen_ai.tool.call.id"
ERROR_TYPE = "error.type"

INVOKE_AGENT, CHAT, EXECUTE_TOOL = "invoke_agent", "chat", "execute_tool"
OPENAI = "openai"
"""What the conventions call every provider that is spoken to in OpenAI's protocol."""

Value: TypeAlias = str | int | float | bool | Sequence[str]


class Kind(IntEnum):
    """As OTLP numbers them."""

    INTERNAL = 1
    CLIENT = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where a span hangs: its trace, its own id and its parent's."""

    trace_id: str
    span_id: str
    parent_id: str = ""

    def below(self, *names: object) -> "Place":
        """The place of a child; the same names give the same place."""
        return Place(self.trace_id, _digest(self.span_id, *names)[:16], self.span_id)


@dataclass(frozen=True, slots=True)
class Span:
    """One finished span; `error` is its `error.type`, "" when it went well."""

    place: Place
    name: str
    kind: Kind
    started_at_ms: int
    ended_at_ms: int
    attributes: Mapping[str, Value] = field(default_factory=dict)
    error: str = ""


def task_place(ref: TaskRef) -> Place:
    """The root of a task's trace."""
    digest = _digest("task", ref.tenant, ref.task_id)
    return Place(digest[:32], digest[32:48])


def attempt_place(event: StepInput) -> Place:
    """One attempt at a step: state machines number them by execution, wait and retry."""
    numbers = (event.execution.generation, event.step.number, event.step.waits, event.attempt)
    return task_place(event.task).below("step", *numbers, event.failure is not None)


def task_span(tip: History, end: End) -> Span:
    """The task as a whole. One that was resumed and ends again is told again, with the same id and a later end."""
    task, totals = tip.task, tip.totals
    attributes: dict[str, Value] = {
        OPERATION: INVOKE_AGENT,
        PROVIDER: OPENAI,
        **about_task(task),
        AGENT_VERSION: tip.agent_version,
        INPUT_TOKENS: totals.usage.input_tokens,
        CACHED_TOKENS: totals.usage.cached_tokens,
        OUTPUT_TOKENS: totals.usage.output_tokens,
        "ratchet.status": end.status.value,
        "ratchet.steps": totals.steps,
        "ratchet.cost_usd": totals.cost_microusd / 1_000_000,
    }
    return Span(
        task_place(task.ref),
        f"{INVOKE_AGENT} {task.agent}",
        Kind.INTERNAL,
        task.created_at_ms,
        tip.records[-1].finished_at_ms,
        attributes,
        end.failure.code if end.failure else "",
    )


def about_task(task: Task) -> dict[str, Value]:
    """What every span says of its task. A session's id is its caller's own word: its digest groups as well."""
    ref, session = task.ref, task.session
    conversation = ref.task_id
    if session is not None:
        conversation = f"session_{_digest(ref.tenant, session.session_id)[:16]}"
    return {**about_ref(ref), AGENT_NAME: task.agent, CONVERSATION: conversation}


def about_ref(ref: TaskRef) -> dict[str, Value]:
    """Which task it is."""
    return {"ratchet.tenant": ref.tenant, "ratchet.task_id": ref.task_id}


def _digest(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
