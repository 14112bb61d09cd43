"""A prompt is known by what shapes its answer; another one is explained against the one most like it."""

from dataclasses import replace

from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.prompt import Prompt, ResponseFormat
from ratchet.model_ports import ModelCall
from ratchet.testing.prompt_digest import how_it_differs, prompt_digest

CALL = ToolCall("call_1", "look", "{}")
MESSAGES = (
    Message("system", "Be brief."),
    Message("user", "Find it."),
    Message("assistant", None, (CALL,)),
    Message("tool", "found", tool_call_id="call_1"),
)


def asked(*messages: Message, model: str = "gpt-4o") -> ModelCall:
    prompt = Prompt(messages or MESSAGES, (), "auto", None, "agent:1")
    return ModelCall(model, prompt, 1000, 60.0)


def test_what_is_left_of_time_and_money_does_not_change_a_prompt() -> None:
    call = asked()
    later = replace(call, max_output_tokens=5, timeout_seconds=1.0)
    assert prompt_digest(call) == prompt_digest(later)
    assert len(prompt_digest(call)) == 32


def test_all_that_shapes_an_answer_does() -> None:
    call = asked()
    others = [
        asked(model="o3"),
        asked(*MESSAGES[:3]),
        replace(call, prompt=replace(call.prompt, tool_choice="none")),
        replace(call, prompt=replace(call.prompt, tools=({"type": "function"},))),
        replace(
            call, prompt=replace(call.prompt, response_format=ResponseFormat("a", {}, strict=True))
        ),
    ]
    assert len({prompt_digest(c) for c in (call, *others)}) == 6


def test_a_difference_is_told_in_words() -> None:
    known = [asked(*MESSAGES[:2]), asked()]
    changed = asked(*MESSAGES[:3], Message("tool", "x" * 500, tool_call_id="call_1"))
    assert how_it_differs(changed, known).startswith(
        "message 4 of the prompt, the result of the tool 'look', was 'found' and is now 'xxx"
    )
    assert how_it_differs(changed, known).endswith("xxx...'")
    reworded = asked(MESSAGES[0], Message("user", "Lose it."))
    assert "message 2 of the prompt, of the user, was 'Find it.'" in how_it_differs(reworded, known)
    other_call = asked(*MESSAGES[:2], Message("assistant", None, (ToolCall("c", "buy", "{}"),)))
    assert "buy" in how_it_differs(other_call, [asked()])


def test_a_difference_outside_the_messages_is_told_too() -> None:
    assert how_it_differs(asked(), []) == "no prompt is known at all"
    assert "had 2 messages and has now 4" in how_it_differs(asked(), [asked(*MESSAGES[:2])])
    assert how_it_differs(asked(model="o3"), [asked()]) == "it went to gpt-4o and goes now to o3"
    forced = replace(asked(), prompt=replace(asked().prompt, tool_choice="none"))
    assert "schemas or the output type" in how_it_differs(forced, [asked()])
