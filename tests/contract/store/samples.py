"""Tasks and steps to store."""

from typing import Any

from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Complexity, InterruptKind, StepType, TaskStatus
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.models import Usage
from ratchet.domain.steps import (
    End,
    Failure,
    Interrupt,
    Paused,
    Step,
    StepPlan,
    StepRecord,
    StepResult,
    ToolRun,
    Totals,
)
from ratchet.domain.task import Fork, History, Task, TaskLimits
from ratchet.ports import CheckpointStore, Intent, Reopening, Start

START_MS = 1_767_225_600_000
ACTING = Step(StepType.TOOL_DISPATCH, Complexity.SIMPLE)
DONE = End(TaskStatus.SUCCEEDED, output={"answer": "42"})
QUESTION = Interrupt(
    "int_1",
    InterruptKind.EFFECT_UNKNOWN,
    "c1",
    "Did it?",
    ("happened", "abort"),
    START_MS + 900_000,
)
ASKING = Paused((QUESTION,), ACTING)
BROKEN = End(TaskStatus.FAILED, failure=Failure("model_output", "not JSON"))
LARGE = "".join(f"{n * 2_654_435_761 % 4_294_967_296:08x}" for n in range(12_000))


def ref_of(number: int = 1, tenant: str = "acme") -> TaskRef:
    return TaskRef(tenant, f"task_{number:026d}")


def task_of(number: int = 1, tenant: str = "acme", **changes: Any) -> Task:
    values: dict[str, Any] = {
        "ref": ref_of(number, tenant),
        "goal": "Find the answer",
        "agent": "support",
        "agent_version": "0123456789ab",
        "first_step": Step(StepType.PLANNING, Complexity.SIMPLE),
        "limits": TaskLimits(max_steps=7, max_cost_usd=0.25),
        "created_at_ms": START_MS + number,
        "user_id": "user-1",
        "webhook_url": "https://example.com/hook",
        "metadata": {"order": "17"},
    }
    return Task(**{**values, **changes})


def plan_of(owner: str = "a") -> StepPlan:
    """An attempt that was about to make two calls."""
    calls = (ToolCall("c1", "pay", '{"amount":1}'), ToolCall("c2", "pay", '{"amount":2}'))
    message = Message("assistant", "I pay.", calls)
    return StepPlan(owner, message, "gpt-4o-mini", "preferred", Usage(10, 0, 5), 7)


def intent_of(owner: str = "a", *, result: str | None = None, ok: bool = True) -> Intent:
    """A call that this attempt has begun, and may be making for a minute."""
    return Intent(owner, "c1", START_MS + 60_000, result, ok)


def begin(store: CheckpointStore, key: str = "k", *, step: int = 1, owner: str = "a") -> Intent:
    """The attempt begins a call."""
    intent = intent_of(owner)
    return store.begin_effect(ref_of(), plan_of(owner), step=step, key=key, intent=intent)


def fork_of(number: int, *results: StepResult, **changes: Any) -> Task:
    """A task that goes on from another one's work."""
    fork = Fork(ref_of(99).task_id, len(results), results)
    return task_of(number, first_step=ACTING, model="o3", fork=fork, **changes)


def start_of(
    generation: int = 1,
    *,
    at_ms: int = START_MS + 5,
    opened_at_ms: int = START_MS + 1,
    restarts: int = 0,
    at_step: int = 1,
) -> Start:
    """An execution of a new task that is due again a minute after its start."""
    return Start(generation, at_ms, at_ms + 60_000, opened_at_ms, restarts, at_step)


def reopening_of(
    tip: History, *, at_ms: int = START_MS + 90_000, limits: TaskLimits | None = None
) -> Reopening:
    """The task goes on acting, and is due a minute later."""
    number = tip.next_number
    record = StepRecord(
        number=number,
        result=StepResult(StepType.TOOL_DISPATCH, Complexity.SIMPLE),
        next=ACTING,
        totals=tip.totals,
        attempt=0,
        started_at_ms=at_ms,
        finished_at_ms=at_ms,
    )
    return Reopening(record, limits or tip.task.limits, at_ms, at_ms + 60_000)


def record_of(
    number: int,
    following: Step | Paused | End = ACTING,
    *,
    attempt: int = 0,
    text: str = "found it",
) -> StepRecord:
    result = StepResult(
        type=StepType.TOOL_DISPATCH,
        complexity=Complexity.SIMPLE,
        messages=(
            Message("assistant", None, (ToolCall(f"call_{number}", "search", '{"query": "x"}'),)),
            Message("tool", text, tool_call_id=f"call_{number}"),
        ),
        tool_runs=(ToolRun(f"call_{number}", "search", ok=True, milliseconds=12),),
        rating=Complexity.COMPLEX,
        model="gpt-4o-mini",
        route="tool_dispatch simple",
        reason="preferred",
        usage=Usage(100, 50, 20, 5),
        cost_microusd=30,
    )
    return StepRecord(
        number=number,
        result=result,
        next=following,
        totals=Totals(
            number, Usage(100 * number, 50 * number, 20 * number, 5 * number), 30 * number
        ),
        attempt=attempt,
        started_at_ms=START_MS + 1000 * number,
        finished_at_ms=START_MS + 1000 * number + 500,
    )
