"""What a step asks people."""

from collections.abc import Sequence

from ratchet.app.tool_runner import Unknown
from ratchet.contracts.limits import INTERRUPT_SECONDS
from ratchet.contracts.messages import StepInput
from ratchet.contracts.names import EffectAnswer, InterruptKind
from ratchet.domain.identifiers import interrupt_id
from ratchet.domain.steps import Interrupt


def questions(
    event: StepInput, unknown: Sequence[Unknown], *, now_ms: int
) -> tuple[Interrupt, ...]:
    """One about each call that may have happened; the same on every attempt."""
    return tuple(
        Interrupt(
            id=interrupt_id(event.task, event.step.number, call.call_id),
            kind=InterruptKind.EFFECT_UNKNOWN,
            call_id=call.call_id,
            question=call.question,
            choices=tuple(EffectAnswer),
            expires_at_ms=now_ms + INTERRUPT_SECONDS * 1000,
        )
        for call in unknown
    )
