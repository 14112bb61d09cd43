"""Where a request stands: everything the script needs, derived from the request alone.

Nothing is remembered between requests, so a retry, a second process or a crash gets the same
answer. The goal is the last user message before the first step marker, or the last user message
when there are no markers. A step marker is a user message that begins with `[ratchet:KIND]`; other
markers, such as `[ratchet:repair]`, leave the step as it is. A reasoning step is over once it is
answered: without another marker the agent acts on.

An answer that the agent could not use counts for nothing, so that its repair gets the turn again:
one with broken arguments or an unknown tool, or a text that `[ratchet:repair]` follows.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from ratchet.testing.model_json import digest
from ratchet.testing.model_wire import ChatRequest, Message, ToolCall

UNMARKED = "unmarked"
_STEPS = frozenset({"planning", "act", "reasoning", "final"})
_REPAIR = "repair"
_MARKER = re.compile(r"\s*\[ratchet:([a-z_]+)\]")


@dataclass(frozen=True, slots=True)
class PastCall:
    """A tool call made since the goal; `result` is None while it is unanswered."""

    name: str
    arguments: str
    result: str | None

    def result_value(self) -> Any:
        """The result as JSON where it is JSON, else its text."""
        try:
            return json.loads(self.result or "")
        except ValueError:
            return self.result


@dataclass(frozen=True, slots=True)
class Conversation:
    """One request's place in its conversation.

    `turn` counts the usable assistant messages so far, `index` those of this kind of step since the
    goal, `repairs` the unusable ones.
    """

    key: str
    system: str
    goal: str
    users: tuple[str, ...]
    step: str
    turn: int
    index: int
    repairs: int
    calls: tuple[PastCall, ...]

    @classmethod
    def of(cls, request: ChatRequest, task: str | None = None) -> "Conversation":
        """Read a request; `task` tells conversations with the same opening apart."""
        messages = request.messages
        start = _goal_position(messages)
        useless = _unusable(messages, frozenset(request.offered))
        kinds, step = _step_kinds(messages, useless)
        used = [n for n, m in enumerate(messages) if m.role == "assistant" and n not in useless]
        opening = [message.model_dump(exclude_unset=True) for message in messages[: start + 1]]
        return cls(
            key=digest(task, request.user, request.safety_identifier, opening),
            system="\n".join(m.text() for m in messages if m.role in {"system", "developer"}),
            goal=messages[start].text() if start >= 0 else "",
            users=tuple(m.text() for m in messages if m.role == "user" and not _marker(m)),
            step=step,
            turn=len(used),
            index=sum(n > start and kinds[n] == step for n in used),
            repairs=len(useless),
            calls=_calls([messages[n] for n in used if n > start], messages),
        )

    @property
    def last_result(self) -> PastCall | None:
        """The latest tool call that was answered."""
        return next((call for call in reversed(self.calls) if call.result is not None), None)

    def called(self, name: str) -> bool:
        """Whether this tool was called since the goal."""
        return any(call.name == name for call in self.calls)


def _marker(message: Message) -> str | None:
    found = _MARKER.match(message.text()) if message.role == "user" else None
    return found.group(1) if found else None


def _goal_position(messages: tuple[Message, ...]) -> int:
    goal = -1
    for number, message in enumerate(messages):
        if _marker(message):
            break
        if message.role == "user":
            goal = number
    return goal


def _unusable(messages: tuple[Message, ...], offered: frozenset[str]) -> frozenset[int]:
    useless = set()
    for number, message in enumerate(messages):
        if message.role != "assistant":
            continue
        following = messages[number + 1] if number + 1 < len(messages) else None
        repaired = following is not None and _marker(following) == _REPAIR
        if repaired or any(not _is_usable(call, offered) for call in message.tool_calls or ()):
            useless.add(number)
    return frozenset(useless)


def _is_usable(call: ToolCall, offered: frozenset[str]) -> bool:
    try:
        json.loads(call.function.arguments)
    except ValueError:
        return False
    return not offered or call.function.name in offered


def _step_kinds(messages: tuple[Message, ...], useless: frozenset[int]) -> tuple[list[str], str]:
    """The step that each message belongs to, and the step that the next answer is for."""
    kinds: list[str] = []
    kind = UNMARKED
    for number, message in enumerate(messages):
        marker = _marker(message)
        kind = marker if marker is not None and marker in _STEPS else kind
        kinds.append(kind)
        if kind == "reasoning" and message.role == "assistant" and number not in useless:
            kind = "act"
    return kinds, kind


def _calls(used: list[Message], messages: tuple[Message, ...]) -> tuple[PastCall, ...]:
    results = {m.tool_call_id: m.text() for m in messages if m.role == "tool"}
    return tuple(
        PastCall(call.function.name, call.function.arguments, results.get(call.id))
        for message in used
        for call in message.tool_calls or ()
    )
