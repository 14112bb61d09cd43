"""From a chat completion's JSON to a `ModelAnswer`. Everything in it is untrusted, also its shape."""

import json
import math
import re
from itertools import count
from typing import Any

from ratchet.domain.messages import BYTES_PER_TOKEN, ToolCall, valid_text
from ratchet.domain.models import ModelSpec, Usage
from ratchet.model_ports import Embedding, EmbeddingCall, ModelAnswer, ModelCall

# How Mistral and others say "length".
_LENGTH = frozenset({"model_length", "max_tokens"})
# The provider broke off (OpenRouter, Mistral; DeepSeek): what there is of the answer is no answer.
_BROKEN_OFF = frozenset({"error", "insufficient_system_resource"})
_MOST_TOKENS = 10**9
"""No call takes so many. What goes far beyond fits into no float, and so into no bill or announcement."""


class UnreadableAnswer(ValueError):
    """The body is not a chat completion; the text says why, without quoting it."""


def parse_answer(body: bytes, call: ModelCall, spec: ModelSpec) -> ModelAnswer:
    """The answer to a call of that model.

    Raises:
        UnreadableAnswer: not JSON, no choices, fields of the wrong type, or broken off by the provider.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableAnswer("its body is not JSON") from None
    choices = data.get("choices") if isinstance(data, dict) else None
    if not isinstance(choices, list) or not choices:
        raise UnreadableAnswer("it has no choices")
    choice = choices[0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise UnreadableAnswer("its first choice has no message")
    finish = _finish_reason(choice)
    if finish in _BROKEN_OFF:
        raise UnreadableAnswer("the provider broke it off")
    content = _content(message)
    calls = _tool_calls(message.get("tool_calls"))
    refusal = _text(message, "refusal")
    usage = _usage(data.get("usage"))
    if usage is None:
        texts = (content or "", refusal or "", *(c.name + c.arguments for c in calls))
        usage = _estimate(call, texts, spec)
    return ModelAnswer(
        content=content,
        tool_calls=calls,
        finish_reason=finish,
        usage=usage,
        refusal=refusal or None,
    )


def parse_embedding(body: bytes, call: EmbeddingCall) -> Embedding:
    """The vector of the call's text.

    Raises:
        UnreadableAnswer: not JSON, or no vector of finite numbers.
    """
    try:
        data = json.loads(body)
        numbers = tuple(map(float, data["data"][0]["embedding"]))
    except (ValueError, OverflowError, RecursionError, LookupError, TypeError):
        raise UnreadableAnswer("it holds no vector") from None
    if not any(numbers) or not all(map(math.isfinite, numbers)):
        raise UnreadableAnswer("its vector has no direction")
    tokens = _count(data.get("usage"), "prompt_tokens")
    if tokens is None:
        tokens = len(call.text.encode(errors="replace")) // BYTES_PER_TOKEN + 1
    return Embedding(numbers, Usage(input_tokens=tokens))


def error_in(body: bytes) -> dict[str, Any] | None:
    """The error that a body holds instead of an answer, if it does and says what status it stands for.

    OpenRouter answers 200 once a model has begun, whatever happens then: https://openrouter.ai/docs/errors
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    error = data.get("error") if isinstance(data, dict) else None
    status = _count(error, "code")
    return error if status is not None and 400 <= status <= 599 else None


def _finish_reason(choice: dict[str, Any]) -> str:
    value = choice.get("finish_reason")
    if not isinstance(value, str):
        return "unknown"
    return "length" if value in _LENGTH else valid_text(value)[:64]


def _content(message: dict[str, Any]) -> str | None:
    """The text, also where it comes in parts: Mistral's reasoning models send their thinking beside it."""
    parts = message.get("content")
    if not isinstance(parts, list):
        return _text(message, "content")
    if not all(isinstance(part, dict) for part in parts):
        raise UnreadableAnswer("its content is not text")
    texts = [_text(part, "text") for part in parts if part.get("type") == "text"]
    return "".join(text or "" for text in texts)


def _text(message: dict[str, Any], name: str) -> str | None:
    value = message.get(name)
    if value is not None and not isinstance(value, str):
        raise UnreadableAnswer(f"its {name} is not text")
    return None if value is None else valid_text(value)


def _tool_calls(value: Any) -> tuple[ToolCall, ...]:
    if value is not None and not isinstance(value, list):
        raise UnreadableAnswer("its tool_calls are not a list")
    calls: list[ToolCall] = []
    for index, item in enumerate(value or ()):
        function = item.get("function") if isinstance(item, dict) else None
        if not isinstance(function, dict):
            raise UnreadableAnswer("a tool call names no function")
        id_ = item.get("id")
        taken = {call.id for call in calls}
        if not isinstance(id_, str) or not id_ or id_ in taken:
            id_ = next(free for n in count(index) if (free := f"call_{n}") not in taken)
        calls.append(ToolCall(valid_text(id_), _name(function), _arguments(function)))
    return tuple(calls)


def _name(function: dict[str, Any]) -> str:
    """The name as a provider takes it back in the next request: it refuses a history with any other character."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", str(function.get("name") or "unnamed"))[:64]


def _arguments(function: dict[str, Any]) -> str:
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        return valid_text(arguments)
    return "{}" if arguments is None else json.dumps(arguments)  # some servers send the object


def _usage(data: Any) -> Usage | None:
    if not isinstance(data, dict):
        return None
    prompt, completion = _count(data, "prompt_tokens"), _count(data, "completion_tokens")
    if prompt is None or completion is None:
        return None
    details = data.get("prompt_tokens_details")
    written = min(_cache_writes(data, details), prompt)
    # Written comes first: what counts as both must not be counted as the cheaper one.
    cached = min(_cache_reads(data, details), prompt - written)
    reasoning = _count(data.get("completion_tokens_details"), "reasoning_tokens") or 0
    # xAI and Gemini leave reasoning out of completion_tokens, and count it in the total, as in the bill.
    output = max(completion, (_count(data, "total_tokens") or 0) - prompt)
    return Usage(prompt, cached, output, min(max(reasoning, output - completion), output), written)


def _cache_reads(usage: Any, details: Any) -> int:
    """Most say the first, Moonshot the second and DeepSeek's older servers the third."""
    return (
        _count(details, "cached_tokens")
        or _count(usage, "cached_tokens")
        or _count(usage, "prompt_cache_hit_tokens")
        or 0
    )


def _cache_writes(usage: Any, details: Any) -> int:
    """OpenAI and OpenRouter say the first, LiteLLM and others before Anthropic's models one of the rest."""
    return (
        _count(details, "cache_write_tokens")
        or _count(details, "cache_creation_tokens")
        or _count(usage, "cache_creation_input_tokens")
        or 0
    )


def _count(data: Any, name: str) -> int | None:
    value = data.get(name) if isinstance(data, dict) else None
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS
    return value if is_count else None


def _estimate(call: ModelCall, texts: tuple[str, ...], spec: ModelSpec) -> Usage:
    """An upper estimate for a server that reports no usage: what was spent must not be counted as nothing."""
    written = sum(len(text.encode()) for text in texts) // BYTES_PER_TOKEN + 8
    if spec.is_reasoning:
        written = max(written, call.max_output_tokens)  # how long it thought cannot be seen
    return Usage(call.prompt.estimated_tokens(), 0, written, 0)
