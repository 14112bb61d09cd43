"""What a server that calls itself OpenAI-compatible does not take of our requests, learnt from what it answers.

Some answer 400 or 422 to any field they do not know: Groq and Gemini to `prompt_cache_key`, Mistral to
`max_completion_tokens`, which DeepSeek and Ollama ignore; newer Claude models and Kimi's to our `temperature`. Groq and
Gemini also refuse tools and a `response_format` in one request. Gemini 3 and DeepSeek's thinking models want their
thoughts back with each tool call; nobody keeps those, so the first is told to do without
(https://ai.google.dev/gemini-api/docs/thought-signatures), the second not to think
(https://api-docs.deepseek.com/guides/thinking_mode). Mistral wants ids of nine characters, and an answer between what a
tool said and what a user says; the chat templates of other open models want users and assistants to take turns.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ratchet.domain.chat_request import OUTPUT_LIMIT, PREFIX_KEY, schema_in_words

Message: TypeAlias = dict[str, Any]

_FORMAT, _OLD_OUTPUT_LIMIT = "response_format", "max_tokens"
_SIGNATURES, _THINKING = "thought_signature", "thinking"
_IDS, _ORDER = "ids of tool calls", "order of roles"
_OPTIONAL = frozenset({PREFIX_KEY, OUTPUT_LIMIT, _OLD_OUTPUT_LIMIT, "temperature"})
_UNKNOWN = re.compile(
    r"unknown|unsupported|not supported|unrecogni[sz]ed|unexpected|extra[ _](inputs|fields|forbidden)"
    r"|additional propert|not (permitted|allowed)|cannot find|deprecated|only .{1,9} is allowed",
    re.IGNORECASE,
)
_TOOLS = re.compile(r"\b(tools?|functions?)\b", re.IGNORECASE)
_JSON = re.compile(r"json[ _]mode|response[ _](format|mime)", re.IGNORECASE)
_TOGETHER = re.compile(r"combined|together|unsupported|not supported", re.IGNORECASE)
_NO_SIGNATURE = re.compile(r"thought_?signature", re.IGNORECASE)
_NO_REASONING = re.compile(
    r"reasoning_content.{0,80}(missing|passed back)|missing.{0,9}reasoning_content", re.IGNORECASE
)
_BAD_ID = re.compile(r"tool call id.{0,99}length of 9", re.IGNORECASE)
_BAD_ORDER = re.compile(r"unexpected role '|roles must alternate", re.IGNORECASE)
_SHORT = re.compile(r"[A-Za-z0-9]{9}")
_UNSIGNED = {"google": {"thought_signature": "skip_thought_signature_validator"}}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the server of a model has refused: fields of a request, or requests without one that is its own."""

    refused: frozenset[str] = frozenset()

    def spoken(self, body: dict[str, Any]) -> dict[str, Any]:
        """The same question in this dialect."""
        if not self.refused:
            return body
        spoken = {name: value for name, value in body.items() if name not in self.refused}
        if OUTPUT_LIMIT in self.refused and OUTPUT_LIMIT in body:
            spoken[_OLD_OUTPUT_LIMIT] = body[OUTPUT_LIMIT]
        if _THINKING in self.refused:
            spoken[_THINKING] = {"type": "disabled"}
        if _FORMAT in body and _FORMAT in self.refused:
            spoken |= _in_words(body)
        for trait, put in _REWRITES.items():
            if trait in self.refused:
                spoken["messages"] = put(spoken["messages"])
        return spoken

    def after(self, status: int, message: str, body: dict[str, Any]) -> "Dialect":
        """With what this refusal of the body says; the same dialect if it says nothing of the kind."""
        if status not in {400, 422} or "messages" not in body:
            return self
        found = set[str]()
        if _UNKNOWN.search(message):
            sent = _OPTIONAL & self.spoken(body).keys()
            found |= {name for name in sent if re.search(rf"\b{name}\b", message)}
        if {"tools", _FORMAT} <= body.keys() and _TOOLS.search(message) and _JSON.search(message):
            found |= {_FORMAT} if _TOGETHER.search(message) else set()
        found |= {trait for trait, sign in _SIGNS.items() if sign.search(message)}
        return self._with(found)

    def after_answer(self, output_tokens: int, body: dict[str, Any]) -> "Dialect":
        """With what an answer longer than the body allowed says: that this limit is ignored."""
        return self._with({OUTPUT_LIMIT}) if output_tokens > body[OUTPUT_LIMIT] else self

    def _with(self, found: set[str]) -> "Dialect":
        """One of the limit's two names is always sent, the new one where both were refused."""
        refused = self.refused | found
        if _OLD_OUTPUT_LIMIT in refused:
            refused -= {OUTPUT_LIMIT}
        return Dialect(refused)


def _in_words(body: dict[str, Any]) -> dict[str, Any]:
    """What stands for the format of a request that has tools; the format itself for any other."""
    wanted = body[_FORMAT]
    if "tools" not in body:
        return {_FORMAT: wanted}
    if "json_schema" not in wanted:
        return {}  # the other kind has its schema in words already
    words = schema_in_words(wanted["json_schema"]["schema"])
    return {"messages": [*body["messages"], words.to_chat()]}


def _signed(messages: list[Message]) -> list[Message]:
    found = []
    for message in messages:
        calls = [{**call, "extra_content": _UNSIGNED} for call in message.get("tool_calls", ())]
        found.append({**message, "tool_calls": calls} if calls else message)
    return found


def _with_short_ids(messages: list[Message]) -> list[Message]:
    found = []
    for message in messages:
        calls = message.get("tool_calls", ())
        changed: Message = (
            {"tool_calls": [{**c, "id": _short(c["id"])} for c in calls]} if calls else {}
        )
        if "tool_call_id" in message:
            changed["tool_call_id"] = _short(message["tool_call_id"])
        found.append({**message, **changed})
    return found


def _short(id_: str) -> str:
    return id_ if _SHORT.fullmatch(id_) else hashlib.sha256(id_.encode()).hexdigest()[:9]


def _in_turns(messages: list[Message]) -> list[Message]:
    """What a user says after another message of theirs belongs to it, and after a tool's to a turn of its own."""
    found: list[Message] = []
    for message in messages:
        before = found[-1]["role"] if found else ""
        if message["role"] == before == "user":
            found[-1] = {**message, "content": f"{found[-1]['content']}\n\n{message['content']}"}
            continue
        if message["role"] == "user" and before == "tool":
            found.append({"role": "assistant", "content": "Noted."})
        found.append(message)
    return found


_REWRITES: dict[str, Callable[[list[Message]], list[Message]]] = {
    _SIGNATURES: _signed,
    _IDS: _with_short_ids,
    _ORDER: _in_turns,
}
_SIGNS = {
    _SIGNATURES: _NO_SIGNATURE,
    _THINKING: _NO_REASONING,
    _IDS: _BAD_ID,
    _ORDER: _BAD_ORDER,
}
