"""What a server that calls itself OpenAI-compatible does not take of our requests, learnt from its refusals.

Some answer 400 or 422 to any field they do not know: Groq and Gemini to `prompt_cache_key`, Mistral to
`max_completion_tokens`. Groq and Gemini also refuse tools and a `response_format` in one request.
"""

import re
from dataclasses import dataclass
from typing import Any

from ratchet.domain.chat_request import OUTPUT_LIMIT, PREFIX_KEY, schema_in_words

_FORMAT = "response_format"
_OLD_OUTPUT_LIMIT = "max_tokens"
_UNKNOWN = re.compile(
    r"unknown|unsupported|not supported|unrecogni[sz]ed|unexpected|extra[ _](inputs|fields|forbidden)"
    r"|additional propert|not (permitted|allowed)|cannot find",
    re.IGNORECASE,
)
_TOOLS = re.compile(r"\b(tools?|functions?)\b", re.IGNORECASE)
_JSON = re.compile(r"json[ _]mode|response[ _](format|mime)", re.IGNORECASE)
_TOGETHER = re.compile(r"combined|together|unsupported|not supported", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dialect:
    """The fields of a request body that a model's server has refused."""

    refused: frozenset[str] = frozenset()

    def spoken(self, body: dict[str, Any]) -> dict[str, Any]:
        """The same question in this dialect: a limit by its old name, a format in words, a hint not at all."""
        if not self.refused:
            return body
        spoken = {name: value for name, value in body.items() if name not in self.refused}
        if OUTPUT_LIMIT in self.refused and OUTPUT_LIMIT in body:
            spoken[_OLD_OUTPUT_LIMIT] = body[OUTPUT_LIMIT]
        wanted = body.get(_FORMAT)
        if wanted is None or _FORMAT in spoken:
            return spoken
        if "tools" not in body:
            return {**spoken, _FORMAT: wanted}
        if "json_schema" in wanted:  # the other kind has its schema in words already
            words = schema_in_words(wanted["json_schema"]["schema"]).to_chat()
            spoken["messages"] = [*body["messages"], words]
        return spoken

    def after(self, status: int, message: str, body: dict[str, Any]) -> "Dialect":
        """With what this refusal of the body says; the same dialect if it says nothing of the kind."""
        if status not in {400, 422}:
            return self
        found = set[str]()
        if _UNKNOWN.search(message):
            names = (PREFIX_KEY, OUTPUT_LIMIT)
            found |= {name for name in names if re.search(rf"\b{name}\b", message)}
        if "tools" in body and _TOOLS.search(message) and _JSON.search(message):
            found |= {_FORMAT} if _TOGETHER.search(message) else set()
        return Dialect(self.refused | (found & body.keys()))
