"""What the scripted model writes into a summary, so that it knows later where the conversation stands.

A summary replaces the messages that the script counts; a real model would keep what matters in words.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

_NOTES = re.compile(r"\[scripted notes\] (\{.*\})\s*$")
_RESULT_CHARS = 400
_FIELD_CHARS = 80


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
class Notes:
    """Where a conversation stood: the step that goes on, the answers so far by step, the calls."""

    step: str
    turn: int = 0
    answered: Mapping[str, int] = field(default_factory=dict)
    calls: tuple[PastCall, ...] = ()

    def to_text(self) -> str:
        """The notes as the end of a summary; long results are shortened, their ids and figures kept."""
        calls = [[c.name, c.arguments, c.result and _shortened(c)] for c in self.calls]
        data = {"step": self.step, "turn": self.turn, "answered": dict(self.answered)}
        text = json.dumps({**data, "calls": calls}, ensure_ascii=False, separators=(",", ":"))
        return f"[scripted notes] {text}"

    @classmethod
    def in_summary(cls, summary: str) -> Self | None:
        """The notes at the end of a summary, if it has any."""
        found = _NOTES.search(summary)
        if found is None:
            return None
        data = json.loads(found.group(1))
        calls = tuple(PastCall(*call) for call in data["calls"])
        return cls(data["step"], data["turn"], data["answered"], calls)


def _shortened(call: PastCall) -> str:
    text, value = call.result or "", call.result_value()
    if len(text) <= _RESULT_CHARS or not isinstance(value, dict):
        return text[:_RESULT_CHARS]
    fields = {k: v[:_FIELD_CHARS] if isinstance(v, str) else v for k, v in value.items()}
    return json.dumps(fields, ensure_ascii=False)[:_RESULT_CHARS]
