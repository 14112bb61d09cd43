"""Where a request stands: everything the script needs, derived from the request alone.

Nothing is remembered between requests, so a retry, a second process or a crash gets the same
answer. The goal is the last user message before the first step marker, or the last user message
when there are no markers; all up to the last `[ratchet:session]` is of earlier tasks. A step marker
is a user message that begins with `[ratchet:KIND]`; other markers, such as `[ratchet:repair]`,
leave the step as it is. A reasoning step is over once it is answered: without another marker the
agent acts on.

A summary (the answer to `[ratchet:compaction]`) stands for all before it: what the script needs of
that is in the summary's notes.

An answer that the agent could not use counts for nothing, so that its repair gets the turn again:
one with broken arguments or an unknown tool, or a text that `[ratchet:repair]` follows.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ratchet.testing.model_json import digest
from ratchet.testing.model_notes import Notes, PastCall
from ratchet.testing.model_wire import ChatRequest, Message, ToolCall

UNMARKED = "unmarked"
COMPACTION = "compaction"
_STEPS = frozenset({"planning", "act", "reasoning", "final", COMPACTION})
_REPAIR = "repair"
_SESSION = "session"
_MARKER = re.compile(r"\s*\[ratchet:([a-z_]+)\]")


@dataclass(frozen=True, slots=True)
class Conversation:
    """One request's place in its conversation.

    `turn` counts the usable assistant messages so far but for summaries, `answered` those since the goal by kind of
    step, `repairs` the unusable ones. `resumes` is the step that goes on after a summary.
    """

    key: str
    system: str
    goal: str
    users: tuple[str, ...]
    step: str
    turn: int
    answered: Mapping[str, int]
    repairs: int
    calls: tuple[PastCall, ...]
    resumes: str

    @classmethod
    def of(cls, request: ChatRequest, task: str | None = None) -> "Conversation":
        """Read a request; `task` tells conversations with the same opening apart."""
        messages = request.messages
        start = _goal_position(messages)
        useless = _unusable(messages, frozenset(request.offered))
        kinds, step, resumes = _step_kinds(messages, useless)
        used = [n for n, m in enumerate(messages) if m.role == "assistant" and n not in useless]
        before = Notes(UNMARKED)
        summary = max((n for n in used if kinds[n] == COMPACTION), default=-1)
        if summary >= 0:
            before = Notes.in_summary(messages[summary].text()) or before
        later = [n for n in used if n > max(start, summary)]
        opening = [message.model_dump(exclude_unset=True) for message in messages[: start + 1]]
        return cls(
            key=digest(task, request.user, request.safety_identifier, opening),
            system="\n".join(m.text() for m in messages if m.role in {"system", "developer"}),
            goal=messages[start].text() if start >= 0 else "",
            users=tuple(m.text() for m in messages if m.role == "user" and not _marker(m)),
            step=step,
            turn=before.turn + sum(kinds[n] != COMPACTION for n in used),
            answered=Counter(before.answered) + Counter(kinds[n] for n in later),
            repairs=len(useless),
            calls=before.calls + _calls([messages[n] for n in later], messages),
            resumes=resumes,
        )

    @property
    def index(self) -> int:
        """How many answers to this kind of step there are since the goal."""
        return self.answered.get(self.step, 0)

    @property
    def notes(self) -> Notes:
        """What a summary of this conversation must keep."""
        return Notes(self.resumes, self.turn, self.answered, self.calls)

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
    before = max((n for n, m in enumerate(messages) if _marker(m) == _SESSION), default=-1)
    for number, message in enumerate(messages):
        if number <= before:
            continue
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


def _step_kinds(
    messages: tuple[Message, ...], useless: frozenset[int]
) -> tuple[list[str], str, str]:
    """The step that each message belongs to, the one that the next answer is for, and the one after a summary."""
    kinds: list[str] = []
    kind = resumes = UNMARKED
    for number, message in enumerate(messages):
        marker = _marker(message)
        if marker == COMPACTION:
            resumes = kind
        kind = marker if marker is not None and marker in _STEPS else kind
        kind = UNMARKED if marker == _SESSION else kind
        kinds.append(kind)
        if message.role != "assistant" or number in useless:
            continue
        if kind == "reasoning":
            kind = "act"
        elif kind == COMPACTION:
            notes = Notes.in_summary(message.text())
            kind = resumes if notes is None else notes.step
    return kinds, kind, resumes


def _calls(used: list[Message], messages: tuple[Message, ...]) -> tuple[PastCall, ...]:
    results = {m.tool_call_id: m.text() for m in messages if m.role == "tool"}
    return tuple(
        PastCall(call.function.name, call.function.arguments, results.get(call.id))
        for message in used
        for call in message.tool_calls or ()
    )
