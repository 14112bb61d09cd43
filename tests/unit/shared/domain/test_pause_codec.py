"""Questions, decisions and steps as 0.1.0 wrote them, and as they are written now."""

from ratchet.contracts.names import Complexity, InterruptKind, Purpose, StepType
from ratchet.domain import pause_codec
from ratchet.domain.steps import Decision, HeldCall, Interrupt, Step

CALL = HeldCall("c1", "pay", '{"amount":5}', 3, "d" * 64)


def test_what_0_1_0_wrote_reads_as_before() -> None:
    asked = ["int_1", "effect_unknown", "c1", "Did it?", ["happened", "abort"], 99]
    question = Interrupt(
        "int_1", InterruptKind.EFFECT_UNKNOWN, "c1", "Did it?", ("happened", "abort"), 99
    )
    assert pause_codec.decode_interrupt(asked) == question
    assert pause_codec.encode_interrupt(question) == asked
    assert pause_codec.decode_decision(["int_1", "happened"]) == Decision("int_1", "happened")
    assert pause_codec.encode_decision(Decision("int_1", "happened")) == ["int_1", "happened"]
    for step in (["reasoning", "simple"], ["reasoning", "complex", "compaction"]):
        assert pause_codec.encode_step(pause_codec.decode_step(step)) == step


def test_a_step_keeps_the_calls_that_were_approved() -> None:
    step = Step(StepType.TOOL_DISPATCH, Complexity.SIMPLE, Purpose.CALLS, (CALL,))
    written = pause_codec.encode_step(step)
    assert written[2:] == ["calls", [["c1", "pay", '{"amount":5}', 3, "d" * 64]]]
    assert pause_codec.decode_step(written) == step
