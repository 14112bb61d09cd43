"""Tokens and the prompt cache."""

from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from ratchet.testing.model_server import ModelServer
from ratchet.testing.model_usage import PrefixCache, prompt_text, token_count

SYSTEM = {"role": "system", "content": "Be brief. " * 450}  # 4,500 bytes: some 1,130 tokens


@pytest.fixture
def client() -> Iterator[OpenAI]:
    with (
        ModelServer.start() as server,
        OpenAI(base_url=server.base_url, api_key="any", max_retries=0) as opened,
    ):
        yield opened


def usage_of(client: OpenAI, *messages: Any, model: str = "gpt-4o", **options: Any) -> Any:
    reply: Any = client.chat.completions.create(model=model, messages=list(messages), **options)
    return reply.usage


def cached(client: OpenAI, *messages: Any, **options: Any) -> int:
    tokens = usage_of(client, *messages, **options).prompt_tokens_details.cached_tokens
    assert isinstance(tokens, int)
    return tokens


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_a_token_is_four_bytes_of_text() -> None:
    assert [token_count(text) for text in ("", "a", "abcd", "abcde", "éé")] == [0, 1, 1, 2, 1]


def test_prompt_tokens_count_messages_tools_and_schema() -> None:
    messages = [user("Hi")]
    plain = prompt_text({"messages": messages})
    assert plain == b'{"content":"Hi","role":"user"}'
    assert prompt_text({"messages": messages, "tools": [1]}) == b"[1]\n" + plain
    output = {"type": "json_schema", "json_schema": {"name": "x"}}
    assert prompt_text({"messages": messages, "response_format": output}).startswith(b'{"name"')


def test_a_shared_prefix_is_cached_in_steps_of_128_from_1024_tokens(client: OpenAI) -> None:
    assert cached(client, SYSTEM, user("First goal")) == 0
    assert cached(client, SYSTEM, user("Second goal")) == 1024
    long = user("More. " * 200)
    assert cached(client, SYSTEM, long) == 1024
    again = cached(client, SYSTEM, long, user("Now?"))
    assert again > 1280
    assert again % 128 == 0


def test_short_prompts_are_not_cached(client: OpenAI) -> None:
    assert [cached(client, user("Hi" * 500)) for _ in range(2)] == [0, 0]


def test_the_cache_belongs_to_a_model_and_a_cache_key(client: OpenAI) -> None:
    cached(client, SYSTEM, user("Hi"))
    assert cached(client, SYSTEM, user("Hi"), model="gpt-4o-mini") == 0
    assert cached(client, SYSTEM, user("Hi"), prompt_cache_key="agent-1") == 0
    assert cached(client, SYSTEM, user("Hi"), prompt_cache_key="agent-1") >= 1024


def test_a_change_at_the_front_loses_the_cache(client: OpenAI) -> None:
    cached(client, SYSTEM, user("Hi"))
    assert cached(client, user("It is Tuesday."), SYSTEM, user("Hi")) == 0


def test_cached_tokens_never_exceed_the_prompt() -> None:
    cache = PrefixCache()
    prompt = b"x" * 4096
    for _ in range(2):
        tokens = cache.cached_tokens(prompt, model="m", cache_key=None)
    assert tokens == 1024 == token_count(prompt)
    assert cache.cached_tokens(prompt[:-1], model="m", cache_key=None) == 0
