"""Streams, embeddings and the list of models."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from ratchet.testing.model_server import ModelServer

GOAL = [{"role": "user", "content": "What is a watt-hour?"}]
LOOKUP = {
    "type": "function",
    "function": {
        "name": "lookup_thing",
        "parameters": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "count": {"type": "integer", "minimum": 2}},
            "required": ["name", "count"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer.start() as running:
        yield running


@pytest.fixture(scope="module")
def client(server: ModelServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.base_url, api_key="sk-right", max_retries=0) as opened:
        yield opened


def ask(client: OpenAI, messages: Any = GOAL, model: str = "gpt-4o", **options: Any) -> Any:
    return client.chat.completions.create(model=model, messages=messages, **options)


@pytest.mark.parametrize("tools", [None, [LOOKUP]])
def test_a_stream_adds_up_to_the_answer(client: OpenAI, tools: Any) -> None:
    options: dict[str, Any] = {} if tools is None else {"tools": tools}
    whole = ask(client, **options)
    stream = ask(client, stream=True, stream_options={"include_usage": True}, **options)
    content, arguments, names, finish = "", "", [], None
    usage: Any = None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            content += choice.delta.content or ""
            for part in choice.delta.tool_calls or ():
                arguments += part.function.arguments or ""
                names += [part.function.name] if part.function.name else []
    message = whole.choices[0].message
    calls = message.tool_calls or []
    assert content == (message.content or "")
    assert arguments == "".join(c.function.arguments for c in calls)
    assert names == [c.function.name for c in calls]
    assert finish == whole.choices[0].finish_reason
    assert (usage.prompt_tokens, usage.completion_tokens) == (
        whole.usage.prompt_tokens,
        whole.usage.completion_tokens,
    )


def test_embeddings_are_deterministic_and_near_for_like_texts(client: OpenAI) -> None:
    texts = ["solar panel battery", "solar panel inverter", "a letter to the king"]
    reply = client.embeddings.create(
        model="text-embedding-3-small", input=texts, encoding_format="float"
    )
    packed = client.embeddings.create(model="text-embedding-3-small", input=texts)
    first, second, third = (item.embedding for item in reply.data)
    assert sum(a * b for a, b in zip(first, second, strict=True)) > 0.5
    assert sum(a * b for a, b in zip(first, third, strict=True)) < 0.5
    assert packed.data[0].embedding == pytest.approx(first)


def test_embeddings_refuse_what_they_cannot_embed(client: OpenAI) -> None:
    wrongs: list[dict[str, Any]] = [
        {"model": "gpt-4o"},
        {"input": ""},
        {"input": []},
        {"dimensions": 99_999},
    ]
    for wrong in wrongs:
        request: Any = {"model": "text-embedding-3-small", "input": "x", **wrong}
        with pytest.raises((openai.BadRequestError, openai.NotFoundError)):
            client.embeddings.create(**request)


def test_models_are_listed(client: OpenAI) -> None:
    assert {"gpt-4o", "gpt-4o-mini", "o3", "o3-mini"} <= {m.id for m in client.models.list()}
    assert client.models.retrieve("o3").id == "o3"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")
