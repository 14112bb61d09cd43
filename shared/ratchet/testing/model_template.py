"""Fill `{{...}}` in scripted strings from what the conversation holds.

A string that is nothing but one template becomes the value itself, so that a number stays a number.
`{{path | fallback}}` gives the fallback when there is nothing at the path; without a fallback the
text says what is missing, where anyone reading the timeline sees it.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from ratchet.testing.model_conversation import COMPACTION, Conversation

_TEMPLATE = re.compile(r"\{\{\s*([^{}|]+?)\s*(?:\|\s*([^{}]*?)\s*)?\}\}")
_HEADING = re.compile(r"^#+ .*$", re.MULTILINE)
_SMALL_WORDS = re.compile(
    "an?|and|are|as|at|be|by|can|do|does|for|from|how|i|in|is|its?|me|my|needs?|of|on|or|our|"
    "please|should|tell|that|the|them|then|this|to|uses?|was|what|when|where|which|who|why|"
    "will|with|you|your"
)
_MISSING = object()
_EXCERPT = 320


class Template:
    """The values that a scripted string may name."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    @classmethod
    def of(cls, conversation: Conversation, groups: Mapping[str, str]) -> "Template":
        """The names of one conversation; `groups` are the named groups of the matching regex."""
        last = conversation.last_result
        results = {c.name: c.result_value() for c in conversation.calls if c.result is not None}
        return cls(
            {
                "goal": conversation.goal,
                "goal_short": excerpt(conversation.goal),
                "goal_words": goal_words(conversation.goal),
                "system": conversation.system,
                "step": conversation.step,
                "turn": conversation.turn,
                "match": dict(groups),
                "tool_result": results,
                **({} if last is None else {"last_tool_result": last.result_value()}),
                **(
                    {"notes": conversation.notes.to_text()}
                    if conversation.step == COMPACTION
                    else {}
                ),
                **({} if last is None else {"excerpt": excerpt(last.result_value())}),
            }
        )

    def fill(self, value: Any) -> Any:
        """The value with every template in it filled, however deep."""
        if isinstance(value, str):
            return self._fill_text(value)
        if isinstance(value, Mapping):
            return {key: self.fill(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.fill(item) for item in value]
        return value

    def text(self, value: str) -> str:
        """The string with its templates filled, as text whatever they hold."""
        return _TEMPLATE.sub(lambda found: _as_text(self._look_up(found)), value)

    def _fill_text(self, value: str) -> Any:
        whole = _TEMPLATE.fullmatch(value.strip())
        return self._look_up(whole) if whole else self.text(value)

    def _look_up(self, found: re.Match[str]) -> Any:
        path, fallback = found.group(1), found.group(2)
        value = _walk(self._values, path)
        if value is not _MISSING:
            return value
        return f"[nothing at {path}]" if fallback is None else fallback


def goal_words(goal: str) -> str:
    """The words of a goal that are worth searching for."""
    words = re.findall(r"[\w'-]+", goal.lower())
    return " ".join(dict.fromkeys(w for w in words if not _SMALL_WORDS.fullmatch(w))) or goal


def excerpt(result: Any) -> str:
    """The opening of a tool result, short enough to quote."""
    if isinstance(result, dict) and isinstance(result.get("text"), str):
        result = result["text"]
    text = " ".join(_HEADING.sub("", _as_text(result)).split())
    if len(text) <= _EXCERPT:
        return text
    sentence = text.rfind(". ", 0, _EXCERPT)
    return text[: sentence + 1] if sentence > 0 else text[:_EXCERPT].rsplit(" ", 1)[0] + " ..."


def _walk(values: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(values, Mapping) and part in values:
            values = values[part]
        elif isinstance(values, list) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
        else:
            return _MISSING
    return values


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
