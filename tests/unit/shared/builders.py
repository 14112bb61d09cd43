"""Small values for tests: a task, a history, steps."""

from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Complexity, StepType, TaskStatus
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.models import Usage
from ratchet.domain.steps import End, Step, StepRecord, StepResult, ToolRun, Totals
from ratchet.domain.task import History, Task, TaskLimits, TaskState

REF = TaskRef("acme", "task_01ARZ3NDEKTSV4RRFFQ69G5FAV")
START_MS = 1_760_000_000_000
PLANNING = Step(StepType.PLANNING, Complexity.SIMPLE)
ACTING = Step(StepType.TOOL_DISPATCH, Complexity.SIMPLE)


def a_task(
    *,
    agent: str = "helper",
    goal: str = "Find the answer.",
    limits: TaskLimits | None = None,
    first_step: Step = PLANNING,
    webhook_url: str | None = None,
) -> Task:
    return Task(
        ref=REF,
        goal=goal,
        agent=agent,
        agent_version="abc123",
        first_step=first_step,
        limits=limits or TaskLimits(),
        created_at_ms=START_MS,
        webhook_url=webhook_url,
    )


def a_result(
    type_: StepType,
    *messages: Message,
    complexity: Complexity = Complexity.SIMPLE,
    rating: Complexity | None = None,
    ok: bool | None = None,
) -> StepResult:
    runs = () if ok is None else (ToolRun("call_1", "look", ok, 3),)
    return StepResult(type_, complexity, messages, tool_runs=runs, rating=rating)


def tool_messages(content: str = "found it") -> tuple[Message, Message]:
    call = ToolCall("call_1", "look", '{"where":"here"}')
    return Message("assistant", None, (call,)), Message("tool", content, tool_call_id="call_1")


def a_history(*results: StepResult, following: Step | End = ACTING, **task: object) -> History:
    totals = Totals()
    records = []
    for number, result in enumerate(results, 1):
        totals = totals.plus(result)
        records.append(
            StepRecord(number, result, following, totals, 0, START_MS + number, START_MS + number)
        )
    state = TaskState(TaskStatus.RUNNING, START_MS, opened_at_ms=START_MS)
    return History(a_task(**task), state, tuple(records))  # type: ignore[arg-type]


def some_usage(tokens: int = 100) -> Usage:
    return Usage(tokens, 0, tokens // 2, 0)
