"""What a task asks a person when it reaches a limit: to go on with twice as much, or to finish with what there is."""

from dataclasses import replace

from ratchet.contracts.limits import INTERRUPT_SECONDS, MAX_STEPS_CAP
from ratchet.contracts.names import BudgetAnswer, InterruptKind, Json, TaskStatus
from ratchet.domain.budget import MAX_COST
from ratchet.domain.identifiers import interrupt_id
from ratchet.domain.steps import End, Failure, Interrupt
from ratchet.domain.task import History, TaskLimits


def question(tip: History, limit: str, why: str, *, now_ms: int) -> Interrupt | None:
    """The question before the step that follows; None if a person cannot raise this limit."""
    more = raised(tip.task.limits, limit)
    if more is None:
        return None
    return Interrupt(
        id=interrupt_id(tip.task.ref, tip.next_number, limit),
        kind=InterruptKind.BUDGET,
        call_id=limit,
        question=f"{why}. Go on with {limit}={getattr(more, limit)}, or finish with what there is?",
        choices=tuple(BudgetAnswer),
        expires_at_ms=now_ms + INTERRUPT_SECONDS * 1000,
    )


def raised(limits: TaskLimits, limit: str) -> TaskLimits | None:
    """The limits with twice as much of one; None if it cannot be raised."""
    match limit:
        case "max_cost_usd":
            return replace(limits, max_cost_usd=round(limits.max_cost_usd * 2, 6))
        case "max_tokens":
            return replace(limits, max_tokens=limits.max_tokens * 2)
        case "max_steps" if limits.max_steps < MAX_STEPS_CAP:
            return replace(limits, max_steps=min(limits.max_steps * 2, MAX_STEPS_CAP))
        case _:
            return None


def finish(history: History, asked: Interrupt, why: str) -> End:
    """The end when the limit is not raised: what there is of the result."""
    partial = history.last_answer
    output: Json = {"partial": partial} if partial else None
    failure = Failure(asked.call_id or MAX_COST, why)
    return End(TaskStatus.BUDGET_EXCEEDED, output=output, failure=failure)
