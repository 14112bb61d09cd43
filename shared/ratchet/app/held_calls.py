"""Calls that wait for people: which ones do, and what is asked about them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ratchet.app.tool_runner import PlannedCall
from ratchet.contracts import limits
from ratchet.contracts.messages import StepInput
from ratchet.contracts.names import ApprovalAnswer, InterruptKind
from ratchet.domain.agent import Agent
from ratchet.domain.approvals import held_call
from ratchet.domain.identifiers import interrupt_id
from ratchet.domain.messages import valid_text
from ratchet.domain.steps import HeldCall, Interrupt, ToolRun
from ratchet.domain.task import History


@dataclass(frozen=True, slots=True)
class SortedCalls:
    """The calls of a step: those that may be made, and those that people are asked about first."""

    free: tuple[PlannedCall, ...]
    held: tuple[PlannedCall, ...]

    @property
    def as_refused(self) -> tuple[ToolRun, ...]:
        """How the held calls will have gone when all are rejected, and all questions answered."""
        return tuple(
            ToolRun(c.call.id, c.tool.name, c.tool.asks is InterruptKind.QUESTION, 0)
            for c in self.held
        )


def sort_calls(
    calls: Sequence[PlannedCall], *, is_tainted: bool, begun: Collection[str]
) -> SortedCalls:
    """Which calls need a person; one that an attempt before this has `begun` did not, and is not asked about now."""
    held = tuple(
        c
        for c in calls
        if c.call.id not in begun and c.tool.needs_approval(c.arguments, is_tainted=is_tainted)
    )
    ids = {c.call.id for c in held}
    return SortedCalls(tuple(c for c in calls if c.call.id not in ids), held)


def is_tainted(history: History, agent: Agent) -> bool:
    """Whether untrusted content has entered this history; nothing takes it out again, so all of it counts.

    What the session told the task is part of it.
    """
    names = {name for name, tool in agent.toolbox.items() if tool.untrusted}
    results = history.results
    if history.task.earlier_untrusted or any(r.untrusted for r in results):
        return True
    return bool(names) and any(run.name in names for r in results for run in r.tool_runs)


def asked_about(
    event: StepInput, held: Sequence[PlannedCall], *, version: str, now_ms: int
) -> tuple[Interrupt, ...]:
    """One question for each held call; the same on every attempt, but for when it closes."""
    ref, step = event.task, event.step.number
    expires_at_ms = now_ms + limits.INTERRUPT_SECONDS * 1000
    return tuple(
        Interrupt(
            id=interrupt_id(ref, step, planned.call.id),
            kind=planned.tool.asks,
            call_id=planned.call.id,
            question=_question(planned, call),
            choices=_choices(planned),
            expires_at_ms=expires_at_ms,
            call=call,
        )
        for planned in held
        for call in [held_call(ref, planned.call, step=step, version=version)]
    )


def _question(planned: PlannedCall, call: HeldCall) -> str:
    if planned.tool.asks is InterruptKind.QUESTION:
        return valid_text(planned.arguments["question"])
    shown = call.arguments[: limits.SHOWN_ARGUMENTS_CHARS]
    cut = " ..." if len(shown) < len(call.arguments) else ""
    return f"The agent wants to call {call.tool!r} with {shown}{cut}. May it?"


def _choices(planned: PlannedCall) -> tuple[str, ...]:
    if planned.tool.asks is InterruptKind.QUESTION:
        return tuple(valid_text(choice) for choice in planned.arguments["choices"])
    return tuple(ApprovalAnswer)
