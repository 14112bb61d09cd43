"""Unique words in every input, so that one sees which input a leak is of, and in whatever form it leaks."""

import base64
import hashlib
from collections.abc import Iterable

INPUTS = (
    *("goal", "metadata_key", "metadata", "session_id", "user_id", "idempotency_key"),
    *("tool_argument", "tool_result", "tool_error", "model_output", "model_error", "tool_name"),
    *("approval_reason", "edited_argument", "human_question", "human_answer"),
    *("memory_key", "memory_value", "memory_query"),
    *("webhook_path", "receiver_answer", "bug", "instruction"),
)


def canary(name: str) -> str:
    """The word of one input: letters and digits, so that no encoding changes it but those in `forms`."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"canary{digest}{name.replace('_', '')}x"


def forms(word: str) -> tuple[str, ...]:
    """The word as it may stand in a text: plain, in hexadecimal, or in base64 wherever it begins there."""
    data = word.encode()
    coded = [base64.b64encode(b"\0" * shift + data).decode() for shift in range(3)]
    return (word, data.hex(), *(text[4:-4] for text in coded))


def leaks(text: str, names: Iterable[str] = INPUTS) -> list[str]:
    """Whose words are in a text."""
    lowered = text.lower()
    return [n for n in names if any(f in text or f in lowered for f in forms(canary(n)))]
