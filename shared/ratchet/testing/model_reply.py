"""Answers in the words of the wire: completions, streams of chunks, embeddings."""

import base64
import hashlib
import json
import math
import struct
from collections.abc import Iterator
from typing import Any

from ratchet.testing.model_answer import Answer
from ratchet.testing.model_catalogue import EMBEDDING_DIMENSIONS, model_names, model_not_found
from ratchet.testing.model_errors import bad_request
from ratchet.testing.model_json import JsonObject
from ratchet.testing.model_usage import Usage, token_count

# A fixed date: the same request gets the same bytes.
CREATED = 1_750_000_000
_PIECE = 24


def completion(answer: Answer, *, identity: str, model: str, usage: Usage) -> JsonObject:
    """A `chat.completion` object."""
    message: JsonObject = {
        "role": "assistant",
        "content": answer.content,
        "refusal": answer.refusal,
        "annotations": [],
    }
    if answer.calls:
        message["tool_calls"] = [call.to_wire() for call in answer.calls]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": answer.finish_reason,
    }
    return {
        **_head("chat.completion", identity, model),
        "choices": [choice],
        "usage": usage.to_wire(),
    }


def chunks(
    answer: Answer, *, identity: str, model: str, usage: Usage | None
) -> Iterator[JsonObject]:
    """The `chat.completion.chunk` objects of a stream; `usage` adds the last one."""
    head = _head("chat.completion.chunk", identity, model)
    if usage is not None:
        head["usage"] = None
    for delta in _deltas(answer):
        yield {**head, "choices": [_choice(delta, None)]}
    yield {**head, "choices": [_choice({}, answer.finish_reason)]}
    if usage is not None:
        yield {**head, "choices": [], "usage": usage.to_wire()}


def sse(event: JsonObject | str) -> bytes:
    """One server-sent event."""
    data = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
    return f"data: {data}\n\n".encode("utf-8", "surrogatepass")


def models() -> JsonObject:
    """The answer of `GET /v1/models`."""
    return {"object": "list", "data": [model(name) for name in model_names()]}


def model(name: str) -> JsonObject:
    """The answer of `GET /v1/models/NAME`.

    Raises:
        ApiError: 404 `model_not_found`.
    """
    if name not in model_names():
        raise model_not_found(name)
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "ratchet-scripted"}


def embeddings(body: JsonObject) -> JsonObject:
    """Vectors of length 1 that are near each other where the texts share words.

    Raises:
        ApiError: 404 for an unknown model, 400 for an empty or odd input.
    """
    name = str(body.get("model"))
    if name not in EMBEDDING_DIMENSIONS:
        raise model_not_found(name)
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise bad_request("Invalid value for 'input': expected text or texts.", param="input")
    if not all(texts):
        raise bad_request("Invalid value for 'input': a text is empty.", param="input")
    size = body.get("dimensions") or EMBEDDING_DIMENSIONS[name]
    if not isinstance(size, int) or not 0 < size <= EMBEDDING_DIMENSIONS[name]:
        raise bad_request("Invalid value for 'dimensions'.", param="dimensions")
    tokens = sum(map(token_count, texts))
    packed = body.get("encoding_format") == "base64"
    return {
        "object": "list",
        "model": name,
        "data": [
            {"object": "embedding", "index": n, "embedding": _vector(text, size, packed=packed)}
            for n, text in enumerate(texts)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _head(kind: str, identity: str, model: str) -> JsonObject:
    return {
        "id": f"chatcmpl-{identity}",
        "object": kind,
        "created": CREATED,
        "model": model,
        "service_tier": "default",
        "system_fingerprint": "fp_scripted",
    }


def _choice(delta: JsonObject, finish_reason: str | None) -> JsonObject:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _deltas(answer: Answer) -> Iterator[JsonObject]:
    start: JsonObject = {"role": "assistant", "refusal": None}
    yield {**start, "content": None if answer.calls else ""}
    for piece in _pieces(answer.content or ""):
        yield {"content": piece}
    for piece in _pieces(answer.refusal or ""):
        yield {"refusal": piece}
    for number, call in enumerate(answer.calls):
        wire = call.to_wire()
        opening = {**wire["function"], "arguments": ""}
        yield {"tool_calls": [{**wire, "index": number, "function": opening}]}
        for piece in _pieces(call.arguments):
            yield {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE]


def _vector(text: str, size: int, *, packed: bool) -> Any:
    values = [0.0] * size
    for word in text.lower().split():
        drawn = hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()
        values[int.from_bytes(drawn[:4], "big") % size] += 1.0 if drawn[4] % 2 else -1.0
    length = math.sqrt(sum(value * value for value in values))
    vector = [value / length for value in values] if length else [1.0, *values[1:]]
    if packed:
        return base64.b64encode(struct.pack(f"<{size}f", *vector)).decode("ascii")
    return vector
