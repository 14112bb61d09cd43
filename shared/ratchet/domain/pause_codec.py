"""How what people are asked and answer is written, and the step that follows: parts of a step's JSON."""

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from ratchet.contracts.names import Complexity, InterruptKind, Purpose, StepType
from ratchet.domain.steps import Decision, HeldCall, Interrupt, Step


def encode_decision(decision: Decision) -> list[Any]:
    """A decision as JSON; 0.1.0 wrote no more than the answer."""
    optional = {
        "arguments": decision.arguments,
        "reason": decision.reason or None,
        "digest": decision.digest or None,
        "by": decision.by or None,
    }
    more = {name: value for name, value in optional.items() if value is not None}
    return [decision.interrupt_id, decision.answer, *([more] if more else [])]


def decode_decision(data: Sequence[Any]) -> Decision:
    """A decision from its JSON."""
    interrupt_id, answer, *more = data
    return Decision(interrupt_id, answer, **(more[0] if more else {}))


def encode_interrupt(asked: Interrupt) -> list[Any]:
    """A question as JSON."""
    words = [asked.question, list(asked.choices), asked.expires_at_ms]
    call = [] if asked.call is None else [list(astuple(asked.call))]
    return [asked.id, asked.kind.value, asked.call_id, *words, *call]


def decode_interrupt(data: Sequence[Any]) -> Interrupt:
    """A question from its JSON."""
    id_, kind, call_id, question, choices, expires_at_ms, *calls = data
    call = HeldCall(*calls[0]) if calls else None
    kind = InterruptKind(kind)
    return Interrupt(id_, kind, call_id, question, tuple(choices), expires_at_ms, call)


def encode_step(step: Step) -> list[Any]:
    """What follows a step, as JSON."""
    calls = [list(astuple(call)) for call in step.calls]
    purpose = step.purpose.value if calls else unusual(step.purpose)
    more = [*([purpose] if purpose else []), *([calls] if calls else [])]
    return [step.type.value, step.complexity.value, *more]


def decode_step(data: Sequence[Any]) -> Step:
    """What follows a step, from its JSON."""
    type_, complexity, *more = data
    purpose, *calls = more or [Purpose.WORK]
    held = tuple(HeldCall(*call) for call in calls[0]) if calls else ()
    return Step(StepType(type_), Complexity(complexity), Purpose(purpose), held)


def unusual(purpose: Purpose) -> str | None:
    """The purpose of a step, None for the agent's work."""
    return None if purpose is Purpose.WORK else purpose.value
