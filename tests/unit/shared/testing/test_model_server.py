"""The server as a whole: answers, keys, the record, connections and the command line."""

import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
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
ANSWER = {
    "type": "json_schema",
    "json_schema": {
        "name": "output",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"answer": {"type": "string"}, "sources": {"type": "array"}},
            "required": ["answer", "sources"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer.start(api_key="sk-right") as running:
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


def test_an_agent_without_tools_is_answered_at_once(client: OpenAI) -> None:
    answer = ask(client)
    assert "scripted model" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"


def test_the_same_request_gets_the_same_bytes_from_another_server(client: OpenAI) -> None:
    first = ask(client, tools=[LOOKUP])
    with (
        ModelServer.start() as other,
        OpenAI(base_url=other.base_url, api_key="x", max_retries=0) as elsewhere,
    ):
        assert ask(elsewhere, tools=[LOOKUP]) == first


def test_a_tool_on_offer_is_called_with_arguments_that_fit_its_schema(client: OpenAI) -> None:
    answer = ask(client, tools=[LOOKUP])
    (called,) = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert json.loads(called.function.arguments) == {"name": GOAL[0]["content"], "count": 2}


def test_tool_choice_none_forbids_tools_and_required_forces_one(client: OpenAI) -> None:
    refund = {"type": "function", "function": {"name": "refund", "parameters": {"type": "object"}}}
    assert not ask(client, tools=[LOOKUP], tool_choice="none").choices[0].message.tool_calls
    assert not ask(client, tools=[refund]).choices[0].message.tool_calls
    forced = ask(client, tools=[refund], tool_choice="required").choices[0].message
    assert forced.tool_calls[0].function.name == "refund"
    named = {"type": "function", "function": {"name": "refund"}}
    chosen = ask(client, tools=[LOOKUP, refund], tool_choice=named).choices[0].message
    assert chosen.tool_calls


def test_a_json_schema_is_always_obeyed(client: OpenAI) -> None:
    content = json.loads(ask(client, response_format=ANSWER).choices[0].message.content)
    assert "scripted model" in content["answer"]
    assert content["sources"] == []


def test_reasoning_tokens_are_reported_and_billed(client: OpenAI) -> None:
    usage = ask(client, model="o3-mini", max_completion_tokens=4000).usage
    thought = usage.completion_tokens_details.reasoning_tokens
    assert 0 < thought < usage.completion_tokens
    assert ask(client).usage.completion_tokens_details.reasoning_tokens == 0


def test_an_answer_stops_at_the_token_limit(client: OpenAI) -> None:
    answer = ask(client, max_completion_tokens=5)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens <= 5


def test_a_wrong_key_is_401(server: ModelServer) -> None:
    with OpenAI(base_url=server.base_url, api_key="sk-wrong", max_retries=0) as wrong:
        error = refusal(wrong)
    assert isinstance(error, openai.AuthenticationError)
    assert error.code == "invalid_api_key"


def test_a_missing_key_is_401(server: ModelServer) -> None:
    assert httpx.get(f"{server.base_url}/models").status_code == 401


def test_a_port_that_is_taken_is_an_error(server: ModelServer) -> None:
    port = int(server.base_url.rsplit(":", 1)[1].removesuffix("/v1"))
    with pytest.raises(OSError, match="in use"):
        ModelServer.start(port=port)


def test_requests_are_recorded_with_their_place_and_cost(
    server: ModelServer, client: OpenAI
) -> None:
    before = len(server.requests())
    history = [*GOAL, call("call_1"), result("call_1", '{"found": 1}')]
    ask(client, history, tools=[LOOKUP])
    refusal(client, model="gpt-9")
    client.embeddings.create(model="text-embedding-3-small", input="x")
    answered, refused, embedded = server.requests()[before:]
    assert (answered.index, answered.turn, answered.scenario) == (before, 1, "default")
    assert answered.messages == tuple(answered.body["messages"])
    assert answered.tools == (LOOKUP,)
    assert answered.usage is not None
    assert answered.usage.prompt_tokens > 0
    assert (refused.status, refused.model, refused.usage) == (404, "gpt-9", None)
    assert embedded.path == "/v1/embeddings"


def test_connections_are_kept_alive_and_bad_requests_answered(server: ModelServer) -> None:
    key = {"authorization": "Bearer sk-right"}
    with httpx.Client(base_url=server.base_url, headers=key) as raw:
        assert raw.get("/models").http_version == "HTTP/1.1"
        assert raw.get("/nothing").json()["error"]["type"] == "invalid_request_error"
        assert raw.post("/chat/completions", content=b"{").status_code == 400
        assert raw.post("/chat/completions", content=b"[]").status_code == 400
        assert raw.post("/chat/completions", json={"model": "o3"}).status_code == 400
        chunked = raw.post("/chat/completions", content=iter([b"{}"]))
        assert chunked.status_code == 411


def test_the_command_line_serves_logs_and_stops(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    command = [sys.executable, "-m", "ratchet.testing.model_server", "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert isinstance(process.stdout, io.TextIOBase)
        base_url = process.stdout.readline().strip()
        with OpenAI(base_url=base_url, api_key="any", max_retries=0) as opened:
            ask(opened)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    (line,) = log.read_text().splitlines()
    assert json.loads(line)["status"] == 200
