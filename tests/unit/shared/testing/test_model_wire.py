"""What the server refuses, in the words of the real API."""

import json
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


def refusal(client: OpenAI, messages: Any = GOAL, model: str = "gpt-4o", **options: Any) -> Any:
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, messages, model, **options)
    return caught.value


def call(*ids: str) -> dict[str, Any]:
    function = {"name": "lookup_thing", "arguments": "{}"}
    calls = [{"id": i, "type": "function", "function": function} for i in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result(call_id: str, content: str = "{}") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def test_json_object_wants_the_word_json_in_the_prompt(client: OpenAI) -> None:
    as_object = {"type": "json_object"}
    assert "json" in refusal(client, response_format=as_object).message
    asked = [{"role": "user", "content": "Answer in JSON."}]
    answer = ask(client, asked, response_format=as_object).choices[0].message.content
    assert isinstance(json.loads(answer), dict)


@pytest.mark.parametrize("model", ["o1", "o3-mini", "o3", "o4-mini", "gpt-5-mini"])
@pytest.mark.parametrize(
    "option", [{"temperature": 0}, {"top_p": 0.5}, {"max_tokens": 9}, {"logit_bias": {"1": 1}}]
)
def test_reasoning_models_refuse_sampling_parameters(
    client: OpenAI, model: str, option: dict[str, Any]
) -> None:
    error = refusal(client, model=model, **option)
    assert (error.status_code, error.code, error.param) == (
        400,
        "unsupported_parameter",
        next(iter(option)),
    )


def test_parameters_are_refused_where_the_real_api_refuses_them(client: OpenAI) -> None:
    error = refusal(client, model="o3-mini", tools=[LOOKUP], parallel_tool_calls=False)
    assert error.code == "unsupported_parameter"
    assert "reasoning_effort" in refusal(client, reasoning_effort="low").message
    assert "only allowed when 'tools'" in refusal(client, tool_choice="none").message
    assert "stream_options" in refusal(client, stream_options={"include_usage": True}).message
    unknown = refusal(client, extra_body={"temprature": 1})
    assert unknown.message.count("Unrecognized request argument supplied: temprature") == 1
    assert ask(client, model="gpt-4o-mini-2024-07-18", temperature=0, max_tokens=200)


def test_an_unknown_model_is_404(client: OpenAI) -> None:
    error = refusal(client, model="gpt-9")
    assert isinstance(error, openai.NotFoundError)
    assert error.code == "model_not_found"


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        ([*GOAL, result("call_1")], "messages.[1].role"),
        ([*GOAL, call("call_1", "call_2"), result("call_1")], "messages.[3].role"),
        ([*GOAL, call("call_1"), *GOAL], "messages.[2].role"),
        ([*GOAL, call("call_1"), result("call_2")], "messages.[2].tool_call_id"),
        ([*GOAL, call("c" * 41), result("c" * 41)], "messages.[1].tool_calls.[0].id"),
        ([{"role": "user", "content": None}], "messages.[0].content"),
    ],
)
def test_broken_message_sequences_are_400(client: OpenAI, messages: Any, param: str) -> None:
    error = refusal(client, messages, tools=[LOOKUP])
    assert (error.status_code, error.type, error.param) == (400, "invalid_request_error", param)


def test_loose_strict_schemas_are_400(client: OpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    loose = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    assert "additionalProperties" in refusal(client, response_format=loose).message
    function = {"name": "f", "strict": True, "parameters": {**schema, "required": []}}
    error = refusal(client, tools=[{"type": "function", "function": function}])
    assert error.code == "invalid_function_parameters"


def test_content_may_come_in_parts(client: OpenAI) -> None:
    parts = [{"type": "text", "text": "What is "}, {"type": "text", "text": "a watt-hour?"}]
    message = ask(client, [{"role": "user", "content": parts}]).choices[0].message
    assert message.content == ask(client).choices[0].message.content


def test_a_format_without_schema_and_a_choice_without_tool_are_400(client: OpenAI) -> None:
    assert "json_schema" in refusal(client, response_format={"type": "json_schema"}).message
    choice = {"type": "function", "function": {"name": "nothing"}}
    assert "nothing" in refusal(client, tools=[LOOKUP], tool_choice=choice).message
