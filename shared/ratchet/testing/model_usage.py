"""Token counts computed from the text, and the prompt cache that OpenAI documents.

A token is four bytes of UTF-8. The cache compares the real text of the prompts: it is hit from
1,024 tokens upward in steps of 128, within one model and one `prompt_cache_key`.
https://platform.openai.com/docs/guides/prompt-caching
"""

import hashlib
import math
import threading
from dataclasses import dataclass

from ratchet.testing.model_json import JsonObject, canonical

BYTES_PER_TOKEN = 4
_BLOCK = 128 * BYTES_PER_TOKEN
_FIRST_BLOCKS = 8  # 1,024 tokens


@dataclass(frozen=True, slots=True)
class Usage:
    """What one answer cost in tokens; `completion_tokens` include the reasoning."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int

    def to_wire(self) -> JsonObject:
        """The `usage` object of a completion."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


def token_count(text: str | bytes) -> int:
    """How many tokens a text takes."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return math.ceil(len(data) / BYTES_PER_TOKEN)


def reasoning_tokens(visible: int) -> int:
    """How many tokens a reasoning model thinks before an answer of this length."""
    return 64 * max(1, math.ceil(visible / 32))


def prompt_text(body: JsonObject) -> bytes:
    """The prompt as the cache compares it: output schema, tools, then the messages in order."""
    parts = []
    schema = (body.get("response_format") or {}).get("json_schema")
    if schema:
        parts.append(canonical(schema))
    if body.get("tools"):
        parts.append(canonical(body["tools"]))
    parts += [canonical(message) for message in body["messages"]]
    return "\n".join(parts).encode("utf-8", "surrogatepass")


class PrefixCache:
    """Remembers every prefix it has seen, per model and cache key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], set[bytes]] = {}

    def cached_tokens(self, prompt: bytes, *, model: str, cache_key: str | None) -> int:
        """How many tokens of this prompt an earlier one shares; the prompt is then remembered."""
        prefixes = _prefix_hashes(prompt)
        with self._lock:
            seen = self._seen.setdefault((model, cache_key or ""), set())
            blocks = 0
            while blocks < len(prefixes) and prefixes[blocks] in seen:
                blocks += 1
            seen.update(prefixes)
        return blocks * 128 if blocks >= _FIRST_BLOCKS else 0


def _prefix_hashes(prompt: bytes) -> list[bytes]:
    running = hashlib.blake2b(digest_size=16)
    hashes = []
    for end in range(_BLOCK, len(prompt) + 1, _BLOCK):
        running.update(prompt[end - _BLOCK : end])
        hashes.append(running.copy().digest())
    return hashes
