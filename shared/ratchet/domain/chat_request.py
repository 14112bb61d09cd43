"""The JSON of a chat completion: a pure function of prompt and model, and what identifies it in the response cache."""

import hashlib
import json
from typing import Any

from ratchet.domain.messages import Message
from ratchet.domain.models import ModelSpec
from ratchet.domain.prompt import Prompt, ResponseFormat

OUTPUT_LIMIT = "max_completion_tokens"
PREFIX_KEY = "prompt_cache_key"

# What the body says beyond the question. The output limit follows from what is left of the budget; an answer that was
# cut off by it is never kept, so the ones that are do not depend on it.
_NO_PART_OF_THE_QUESTION = frozenset({OUTPUT_LIMIT, PREFIX_KEY})


def request_body(prompt: Prompt, spec: ModelSpec, *, max_output_tokens: int) -> dict[str, Any]:
    """The JSON of the request, keys in a fixed order.

    Every server is first sent `max_completion_tokens` (OpenAI's reasoning models refuse `max_tokens`; vLLM, LiteLLM,
    Groq, OpenRouter and Azure accept the new name) and `prompt_cache_key` (most servers that do not know it ignore it).
    The adapter turns to what a server takes when it refuses them.
    """
    messages = [message.to_chat() for message in prompt.messages]
    body: dict[str, Any] = {"model": spec.name, "messages": messages}
    if prompt.tools:
        body |= {"tools": list(prompt.tools), "tool_choice": prompt.tool_choice}
    if prompt.response_format is not None:
        body["response_format"] = _response_format(prompt.response_format, spec)
        if not spec.has_json_schema:
            messages.append(schema_in_words(prompt.response_format.schema).to_chat())
    body[OUTPUT_LIMIT] = min(max_output_tokens, spec.max_output_tokens)
    if not spec.is_reasoning:
        body["temperature"] = 0
    body[PREFIX_KEY] = prompt.cache_key
    return body


def question_digest(tenant: str, prompt: Prompt, spec: ModelSpec) -> str:
    """64 hex digits of all that an answer follows from, and of the tenant: two tenants never ask the same question."""
    body = request_body(prompt, spec, max_output_tokens=spec.max_output_tokens)
    question = {name: body[name] for name in body if name not in _NO_PART_OF_THE_QUESTION}
    text = json.dumps([tenant, question], ensure_ascii=False, separators=(",", ":"))
    # Replacing a lone surrogate would make two questions one.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _response_format(wanted: ResponseFormat, spec: ModelSpec) -> dict[str, Any]:
    if not spec.has_json_schema:
        return {"type": "json_object"}
    schema = {"name": wanted.name, "schema": wanted.schema, "strict": wanted.strict}
    return {"type": "json_schema", "json_schema": schema}


def schema_in_words(schema: dict[str, Any]) -> Message:
    """What json_object cannot say; without the word JSON in the messages OpenAI refuses that mode."""
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return Message("user", f"Answer with one JSON object that fits this JSON schema:\n{text}")
