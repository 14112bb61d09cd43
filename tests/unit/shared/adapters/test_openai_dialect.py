"""What the adapter makes of servers that take less, or more, than OpenAI's does."""

import json
import socket
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from ratchet.contracts.errors import ModelRejected
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.prompt import ResponseFormat
from ratchet.testing.raw_server import RawServer, answers, read_request
from tests.unit.shared.adapters.test_openai_chat import (
    CALL,
    PROMPT,
    SCHEMA,
    chat_with,
    completion,
    http,
    request_body,
)

MISTRAL = {"detail": [{"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"]}]}
GROQ = {"error": {"message": "property 'prompt_cache_key' is unsupported"}}
GEMINI = [{"error": {"message": 'Unknown name "prompt_cache_key": Cannot find field.'}}]
GROQ_JSON = {"error": {"message": "json mode cannot be combined with tool/function calling"}}
NO_JSON = "Function calling with a response mime type: 'application/json' is unsupported"
GEMINI_JSON = [{"error": {"message": NO_JSON}}]
NO_TEMPERATURE = (
    "`temperature` is deprecated for this model.",
    "invalid temperature: only 1 is allowed for this model",
    "Unsupported value: 'temperature' does not support 0 with this model.",
)
PLAN = replace(PROMPT, response_format=ResponseFormat("plan", SCHEMA, strict=True))
IN_WORDS = {
    "role": "user",
    "content": "Answer with one JSON object that fits this JSON schema:\n"
    + json.dumps(SCHEMA, separators=(",", ":")),
}


class Picky:
    """Refuses every request that has one of these fields; keeps what it was sent."""

    def __init__(self, **refusals: Any) -> None:
        self._refusals = refusals
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, connection: socket.socket) -> None:
        self.bodies.append(json.loads(read_request(connection).partition(b"\r\n\r\n")[2]))
        refused = [self._refusals[name] for name in self._refusals if name in self.bodies[-1]]
        response = http(completion({"content": "hi"}), headers="Connection: close\r\n")
        if refused:
            status = "422 No" if refused[0] is MISTRAL else "400 No"
            body = json.dumps(refused[0]).encode()
            response = http(body, status=status, headers="Connection: close\r\n")
        connection.sendall(response)


@pytest.mark.parametrize(
    ("refusals", "left_out", "put_in"),
    [
        ({"prompt_cache_key": GROQ}, {"prompt_cache_key"}, {}),
        ({"prompt_cache_key": GEMINI}, {"prompt_cache_key"}, {}),
        *(
            ({"temperature": {"error": {"message": m}}}, {"temperature"}, {})
            for m in NO_TEMPERATURE
        ),
        ({"max_completion_tokens": MISTRAL}, {"max_completion_tokens"}, {"max_tokens": 500}),
        (
            {"prompt_cache_key": GROQ, "response_format": GROQ_JSON},
            {"prompt_cache_key", "response_format"},
            {"messages": [*(m.to_chat() for m in PLAN.messages), IN_WORDS]},
        ),
        (
            {"response_format": GEMINI_JSON},
            {"response_format"},
            {"messages": [*(m.to_chat() for m in PLAN.messages), IN_WORDS]},
        ),
    ],
)
def test_what_a_server_refuses_to_take_is_put_as_it_takes_it_from_then_on(
    refusals: dict[str, Any], left_out: set[str], put_in: dict[str, Any]
) -> None:
    picky, call = Picky(**refusals), replace(CALL, prompt=PLAN)
    sent = request_body(call)
    expected = {name: sent[name] for name in sent if name not in left_out} | put_in
    with RawServer(picky) as server, chat_with(server.port) as chat:
        assert chat.complete(call).content == "hi"
        assert picky.bodies[0] == sent
        assert picky.bodies[-1] == expected
        assert len(picky.bodies) == 1 + len(refusals)
        assert chat.complete(call).content == "hi"
        assert picky.bodies[1 + len(refusals) :] == [expected]


CALLED = replace(
    PLAN,
    messages=(
        *PROMPT.messages,
        Message("assistant", None, (ToolCall("c1", "look", "{}"),)),
        Message("tool", "seen", (), "c1"),
    ),
)


class Forgetful:
    """Refuses tool calls without the thoughts that it had: Gemini 3's are signatures, DeepSeek's are a text."""

    def __init__(self, said: str) -> None:
        self._said = said
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, connection: socket.socket) -> None:
        self.bodies.append(json.loads(read_request(connection).partition(b"\r\n\r\n")[2]))
        calls = [c for m in self.bodies[-1]["messages"] for c in m.get("tool_calls", ())]
        content = http(completion({"content": "hi"}), headers="Connection: close\r\n")
        if "thinking" not in self.bodies[-1] and not all("extra_content" in c for c in calls):
            refusal = json.dumps([{"error": {"message": self._said}}]).encode()
            content = http(refusal, status="400 No", headers="Connection: close\r\n")
        connection.sendall(content)


@pytest.mark.parametrize(
    ("words", "added"),
    [
        (
            "Function call is missing a thought_signature in functionCall parts.",
            {"google": {"thought_signature": "skip_thought_signature_validator"}},
        ),
        ("The `reasoning_content` in the thinking mode must be passed back to the API.", None),
        ("Missing `reasoning_content` field in the assistant message at message index 2.", None),
        (
            "thinking is enabled but reasoning_content is missing in assistant tool call message",
            None,
        ),
    ],
)
def test_thoughts_that_nobody_kept_are_done_without(words: str, added: object) -> None:
    forgetful, call = Forgetful(words), replace(CALL, prompt=CALLED)
    with RawServer(forgetful) as server, chat_with(server.port) as chat:
        assert chat.complete(call).content == "hi"
        assert chat.complete(call).content == "hi"
    first, *others = forgetful.bodies
    expected = json.loads(json.dumps(first))
    if added is None:
        expected["thinking"] = {"type": "disabled"}
    else:
        expected["messages"][2]["tool_calls"][0]["extra_content"] = added
    assert others == [expected, expected]


class Mistral:
    """Takes ids of nine characters, and no user after a tool."""

    def __init__(self) -> None:
        self.messages: list[list[dict[str, Any]]] = []

    def __call__(self, connection: socket.socket) -> None:
        body = json.loads(read_request(connection).partition(b"\r\n\r\n")[2])
        self.messages.append(body["messages"])
        roles = [message["role"] for message in body["messages"]]
        ids = [m["tool_call_id"] for m in body["messages"] if "tool_call_id" in m]
        said = None
        if ("tool", "user") in pairwise(roles):
            said = "Unexpected role 'user' after role 'tool'"
        elif any(len(id_) != 9 for id_ in ids):
            said = "Tool call id was call_0 but must be a-z, A-Z, 0-9, with a length of 9."
        answer = http(completion({"content": "hi"}), headers="Connection: close\r\n")
        if said is not None:
            refusal = json.dumps({"object": "error", "message": said, "code": "3230"}).encode()
            answer = http(refusal, status="400 No", headers="Connection: close\r\n")
        connection.sendall(answer)


def test_messages_take_the_order_and_the_ids_that_a_server_wants() -> None:
    said = ("Go on.", "Really.")
    told = replace(CALLED, messages=(*CALLED.messages, *(Message("user", words) for words in said)))
    mistral, call = Mistral(), replace(CALL, prompt=told)
    with RawServer(mistral) as server, chat_with(server.port) as chat:
        assert chat.complete(call).content == "hi"
        assert chat.complete(call).content == "hi"
    *tries, last, again = mistral.messages
    assert (len(tries), last) == (2, again)
    assert [m["role"] for m in last] == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert last[-1]["content"] == "Go on.\n\nReally."
    assert last[2]["tool_calls"][0]["id"] == last[3]["tool_call_id"] != "c1"
    assert json.dumps(last[:2]) == json.dumps(tries[0][:2])


def test_a_limit_that_was_ignored_is_sent_by_its_old_name_unless_that_is_refused() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 501}
    message = {"message": {"content": "hi"}, "finish_reason": "stop"}
    close = "Connection: close\r\n"
    long = http(json.dumps({"choices": [message], "usage": usage}).encode(), headers=close)
    words = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    refusal = json.dumps({"error": {"message": words}}).encode()
    no = http(refusal, status="400 No", headers=close)
    replies, bodies = iter([long, long, no, long, long]), list[dict[str, Any]]()

    def behave(connection: socket.socket) -> None:
        bodies.append(json.loads(read_request(connection).partition(b"\r\n\r\n")[2]))
        connection.sendall(next(replies))

    with RawServer(behave) as server, chat_with(server.port) as chat:
        for _ in range(4):
            chat.complete(CALL)
    old, new = "max_tokens", "max_completion_tokens"
    assert [[name for name in (old, new) if name in body] for body in bodies] == [
        *([new], [old], [old], [new], [new])
    ]


def test_a_format_is_still_sent_where_there_are_no_tools_beside_it() -> None:
    picky, call = Picky(tools=GROQ_JSON), replace(CALL, prompt=replace(PLAN, tools=()))
    with RawServer(picky) as server, chat_with(server.port) as chat:
        with pytest.raises(ModelRejected):
            chat.complete(replace(call, prompt=PLAN))
        assert chat.complete(call).content == "hi"
    assert picky.bodies[-1]["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize(
    "message",
    [
        "max_completion_tokens is too large: 20000. This model supports at most 16384 tokens",
        "Unsupported value: 'tool_choice' does not support none with this model.",
        "Invalid schema for response_format 'plan'",
    ],
)
def test_any_other_refusal_is_not_argued_with(message: str) -> None:
    body = json.dumps({"error": {"message": message}}).encode()
    with RawServer(answers(http(body, status="400 No"))) as server:
        with chat_with(server.port) as chat, pytest.raises(ModelRejected):
            chat.complete(replace(CALL, prompt=PLAN))
        assert server.connections == 1
