"""Which prompt is it? The same question to the same model has the same digest, in every run and on every machine."""

import hashlib
import json
from collections.abc import Iterable

from ratchet.domain.messages import Message
from ratchet.model_ports import ModelCall

_EXCERPT_CHARS = 160


class UnknownPrompt(AssertionError):
    """The model was asked something that it was not asked before; there is no answer to play."""


def prompt_digest(call: ModelCall) -> str:
    """32 hex digits over all that shapes an answer; what is left of time, money and output is no part of it."""
    prompt, form = call.prompt, call.prompt.response_format
    shape = [
        call.model,
        [message.to_chat() for message in prompt.messages],
        list(prompt.tools),
        prompt.tool_choice,
        None if form is None else [form.name, form.schema, form.strict],
    ]
    text = json.dumps(shape, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]


def how_it_differs(call: ModelCall, known: Iterable[ModelCall]) -> str:
    """In what the prompt departs from the known one that is most like it, in words."""
    nearest = max(known, key=lambda other: _alike(call, other), default=None)
    if nearest is None:
        return "no prompt is known at all"
    asked, before = call.prompt.messages, nearest.prompt.messages
    same = _same_messages(asked, before)
    if same < min(len(asked), len(before)):
        return (
            f"message {same + 1} of the prompt, {_author(asked, same)}, "
            f"was {_excerpt(before[same])} and is now {_excerpt(asked[same])}"
        )
    if len(asked) != len(before):
        return f"the prompt had {len(before)} messages and has now {len(asked)}"
    if call.model != nearest.model:
        return f"it went to {nearest.model} and goes now to {call.model}"
    return "the messages are the same; the tools' schemas or the output type have changed"


def _alike(call: ModelCall, other: ModelCall) -> tuple[int, int, bool]:
    asked, before = call.prompt.messages, other.prompt.messages
    apart = -abs(len(asked) - len(before))
    return _same_messages(asked, before), apart, call.model == other.model


def _same_messages(a: tuple[Message, ...], b: tuple[Message, ...]) -> int:
    same = 0
    while same < min(len(a), len(b)) and a[same] == b[same]:
        same += 1
    return same


def _author(messages: tuple[Message, ...], index: int) -> str:
    message = messages[index]
    if message.role != "tool":
        return f"of the {message.role}"
    names = {
        call.id: call.name
        for earlier in messages[:index]
        for call in earlier.tool_calls
        if call.id == message.tool_call_id
    }
    return f"the result of the tool {names.get(message.tool_call_id or '', 'unknown')!r}"


def _excerpt(message: Message) -> str:
    text = message.content or json.dumps(message.to_chat().get("tool_calls", ""))
    return repr(text if len(text) <= _EXCERPT_CHARS else f"{text[:_EXCERPT_CHARS]}...")
