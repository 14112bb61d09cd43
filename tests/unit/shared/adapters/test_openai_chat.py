"""The requests that the OpenAI adapter builds, and its transport against rude servers."""

import json
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ratchet.adapters import openai_transport
from ratchet.adapters.openai_chat import OpenAiChat
from ratchet.adapters.system import SystemClock
from ratchet.contracts.errors import (
    AttemptSuperseded,
    ContextOverflow,
    ModelError,
    ModelRejected,
    ModelThrottled,
    ModelUnavailable,
    UnpricedModel,
)
from ratchet.domain import chat_request
from ratchet.domain.messages import Message
from ratchet.domain.models import ModelCatalogue, built_in
from ratchet.domain.prompt import Prompt, ResponseFormat
from ratchet.model_ports import ModelCall
from ratchet.testing.raw_server import Behaviour, RawServer, answers, drips, read_request
from tests.unit.shared.adapters.certificates import certificate

TOOL = {
    "type": "function",
    "function": {"name": "look", "description": "", "parameters": {"type": "object"}},
}
SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
SECRET_PROMPT = "canary-prompt-5417"
KEY = "sk-canary-key-9921"

PROMPT = Prompt(
    messages=(Message("system", "Be brief."), Message("user", SECRET_PROMPT)),
    tools=(TOOL,),
    tool_choice="auto",
    response_format=None,
    cache_key="agent:abc",
)
CALL = ModelCall("gpt-4o", PROMPT, max_output_tokens=500, timeout_seconds=30)


def request_body(call: ModelCall) -> dict[str, Any]:
    spec = built_in().spec(call.model)
    return chat_request.request_body(call.prompt, spec, max_output_tokens=call.max_output_tokens)


class SteppingClock:
    """Each look at the clock finds it a step later: endless drips come to an end without waiting."""

    def __init__(self, step: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._step = step
        self._now = 0.0

    def now_ms(self) -> int:
        return 1_700_000_000_000

    def monotonic(self) -> float:
        with self._lock:
            self._now += self._step
            return self._now

    def sleep(self, seconds: float) -> None:
        raise AssertionError("the adapter never sleeps")


def key(*, fresh: bool = False) -> str:
    return KEY


def chat_with(port: int, *, step: float = 0.0) -> OpenAiChat:
    return OpenAiChat(f"http://127.0.0.1:{port}/v1", api_key=key, clock=SteppingClock(step))


def completion(message: object) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()


def http(body: bytes, *, status: str = "200 OK", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: "
    return f"{head}{len(body)}\r\n\r\n".encode() + body


# --- requests


def test_a_request_holds_exactly_the_canonical_prompt() -> None:
    assert request_body(CALL) == {
        "model": "gpt-4o",
        "messages": [message.to_chat() for message in PROMPT.messages],
        "tools": [TOOL],
        "tool_choice": "auto",
        "max_completion_tokens": 500,
        "temperature": 0,
        "prompt_cache_key": "agent:abc",
    }


def test_reasoning_models_get_no_temperature() -> None:
    assert "temperature" not in request_body(replace(CALL, model="o3-mini"))


def test_without_tools_there_is_no_tool_choice_either() -> None:
    body = request_body(replace(CALL, prompt=replace(PROMPT, tools=())))
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & body.keys()


def test_a_schema_is_sent_strictly_where_the_model_can_enforce_it() -> None:
    prompt = replace(PROMPT, response_format=ResponseFormat("output", SCHEMA, strict=True))
    assert request_body(replace(CALL, prompt=prompt))["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "output", "schema": SCHEMA, "strict": True},
    }


def test_a_model_without_json_schema_is_told_the_schema_in_words() -> None:
    spec = replace(built_in().spec("gpt-4o"), name="old", has_json_schema=False)
    prompt = replace(PROMPT, response_format=ResponseFormat("output", SCHEMA, strict=True))
    body = chat_request.request_body(prompt, spec, max_output_tokens=500)
    assert body["response_format"] == {"type": "json_object"}
    assert "JSON" in body["messages"][-1]["content"]
    assert body["messages"][:-1] == [message.to_chat() for message in PROMPT.messages]


def test_more_output_than_the_model_can_give_is_not_asked_for() -> None:
    assert request_body(replace(CALL, max_output_tokens=99_999))["max_completion_tokens"] == 16_384


def test_an_unpriced_model_is_never_called() -> None:
    with RawServer(answers(http(completion({"content": "hi"})))) as server:
        with chat_with(server.port) as chat, pytest.raises(UnpricedModel):
            chat.complete(replace(CALL, model="free-lunch"))
        assert server.connections == 0


def test_a_model_of_the_deployments_own_catalogue_can_be_called() -> None:
    own = ModelCatalogue([replace(built_in().spec("o3"), name="house-model")])
    call = replace(CALL, model="house-model")
    with RawServer(answers(http(completion({"content": "hi"})))) as server:
        url = f"http://127.0.0.1:{server.port}/v1"
        with OpenAiChat(url, api_key=key, clock=SteppingClock(), models=own) as chat:
            answer = chat.complete(call)
    assert answer.usage.output_tokens == call.max_output_tokens  # unreported reasoning, as of an o3


def test_a_base_url_that_is_no_http_address_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="model_base_url"):
        OpenAiChat("ftp://model.test", api_key=key, clock=SteppingClock())


# --- the transport


def failure_of(port: int, *, step: float = 0.0) -> ModelError:
    with chat_with(port, step=step) as chat, pytest.raises(ModelError) as caught:
        chat.complete(CALL)
    return caught.value


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_dripping_server_is_cut_off_when_the_call_is_out_of_time(
    start: bytes, drop: bytes
) -> None:
    with RawServer(drips(start, drop)) as server:
        error = failure_of(server.port, step=1.0)
    assert isinstance(error, ModelUnavailable)


def test_a_silent_server_is_left_when_the_call_is_out_of_time() -> None:
    with RawServer(lambda connection: [*iter(lambda: connection.recv(9), b"")].clear()) as server:
        call = replace(CALL, timeout_seconds=0.05)
        with chat_with(server.port) as chat, pytest.raises(ModelUnavailable, match="in time"):
            chat.complete(call)


def silence(connection: socket.socket) -> None:
    """Take all there is, say nothing, until the peer goes away."""
    while connection.recv(65_536):
        pass


@pytest.mark.parametrize("behaviour", [silence, drips(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a")])
def test_a_call_is_given_up_when_nobody_wants_it_any_more(
    behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_transport, "STILL_WANTED_SECONDS", 0.01)
    answers_ = iter([True, True, False])
    call = replace(CALL, is_wanted=lambda: next(answers_))
    with RawServer(behaviour) as server:
        url = f"http://127.0.0.1:{server.port}/v1"
        with OpenAiChat(url, api_key=key, clock=SystemClock()) as chat:
            with pytest.raises(AttemptSuperseded) as caught:
                chat.complete(call)
            assert SECRET_PROMPT not in repr(caught.value.__context__)
            with pytest.raises(ModelUnavailable, match="in time"):
                chat.complete(replace(call, is_wanted=lambda: True, timeout_seconds=0.05))


def test_nobody_is_asked_while_answers_come_soon() -> None:
    asked: list[str] = []

    def is_wanted() -> bool:
        asked.append("still?")
        return True

    call = replace(CALL, is_wanted=is_wanted)
    with (
        RawServer(answers(http(completion({"content": "hi"})))) as server,
        chat_with(server.port) as chat,
    ):
        assert chat.complete(call).content == "hi"
    assert asked == []


def test_over_tls_the_certificate_is_checked_and_the_deadline_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, pem = certificate(tmp_path, "localhost")
    fine = http(completion({"content": "hi"}))
    outcomes = []
    for behaviour, trusted, step in (
        (answers(fine), True, 0.0),
        (drips(b"HTTP/1.1 200 OK\r\nX: ", b"a"), True, 1.0),
        (answers(fine), False, 0.0),
    ):
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        else:
            monkeypatch.delenv("SSL_CERT_FILE")
        with RawServer(behaviour, tls) as server:
            url = f"https://localhost:{server.port}/v1"
            with OpenAiChat(url, api_key=key, clock=SteppingClock(step)) as chat:
                outcomes.append(outcome(chat))
    assert outcomes[0] == "hi"
    assert "in time" in outcomes[1]
    assert "certificate" in outcomes[2]


def outcome(chat: OpenAiChat) -> str:
    try:
        return chat.complete(CALL).content or ""
    except ModelUnavailable as exc:
        return str(exc)


def test_nobody_listening_names_the_host_and_the_reason() -> None:
    with RawServer(answers(b"")) as server:
        port = server.port
    error = failure_of(port)
    assert isinstance(error, ModelUnavailable)
    assert not error.may_have_spent
    assert f"127.0.0.1:{port}" in str(error)
    assert "refused" in str(error)


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
        b"SSH-2.0-nope\r\n\r\n",
        http(b"not json"),
        http(b"{}"),
        http(b"\x1f\x8bbroken", headers="Content-Encoding: gzip\r\n"),
    ],
)
def test_broken_answers_are_unavailability(response: bytes) -> None:
    with RawServer(answers(response)) as server:
        error = failure_of(server.port)
    assert isinstance(error, ModelUnavailable)
    assert error.may_have_spent  # the request was sent, and the answer may be paid for


@pytest.mark.parametrize(
    ("code", "error", "may_have_spent"),
    [
        (429, ModelThrottled, False),
        (402, ModelRejected, False),
        (400, ContextOverflow, False),
        (502, ModelUnavailable, True),
        (200, ModelUnavailable, True),
        ("boom", ModelUnavailable, True),
    ],
)
def test_an_error_that_comes_as_an_answer_is_the_error_that_it_says(
    code: object, error: type[ModelError], may_have_spent: bool
) -> None:
    told = {"code": code, "message": "maximum context length" if code == 400 else "no"}
    with RawServer(answers(http(json.dumps({"error": told}).encode()))) as server:
        raised = failure_of(server.port)
    assert type(raised) is error
    assert raised.may_have_spent is may_have_spent


def test_a_redirect_is_not_followed_so_the_key_stays_with_its_host() -> None:
    with RawServer(answers(http(completion({"content": "stolen"})))) as thief:
        location = f"Location: http://127.0.0.1:{thief.port}/v1\r\n"
        moved = http(b"", status="307 Temporary Redirect", headers=location)
        with RawServer(answers(moved)) as server:
            assert isinstance(failure_of(server.port), ModelRejected)
        assert thief.connections == 0


def test_the_same_prompt_gives_the_same_bytes() -> None:
    seen: list[bytes] = []

    def record(connection: Any) -> None:
        seen.append(read_request(connection).partition(b"\r\n\r\n")[2])
        connection.sendall(http(completion({"content": "hi"}), headers="Connection: close\r\n"))

    with RawServer(record) as server:
        for _ in range(2):
            with chat_with(server.port) as chat:
                chat.complete(CALL)
    assert len(set(seen)) == 1
    assert seen[0] == json.dumps(request_body(CALL), separators=(",", ":")).encode()


@pytest.mark.parametrize("status", ["400 Bad Request", "401 No", "429 No", "500 No", "302 Found"])
def test_neither_the_key_nor_the_prompt_is_in_an_error_or_behind_it(status: str) -> None:
    echo = json.dumps({"error": {"message": f"bad {KEY} {SECRET_PROMPT}", "code": None}}).encode()
    with RawServer(answers(http(echo, status=status))) as server:
        error: BaseException | None = failure_of(server.port)
    while error is not None:
        assert KEY not in repr(error)
        assert SECRET_PROMPT not in repr(error)
        assert not hasattr(error, "request")
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "refusal",
    [
        {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: x."},
        [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}],
    ],
)
def test_a_key_that_is_refused_with_400_is_fetched_again_too(refusal: object) -> None:
    fine = http(completion({"content": "hi"}), headers="Connection: close\r\n")
    refused = json.dumps(refusal).encode()
    no = http(refused, status="400 Bad Request", headers="Connection: close\r\n")

    def behave(connection: socket.socket) -> None:
        connection.sendall(fine if b"Bearer new" in read_request(connection) else no)

    def rotated(*, fresh: bool = False) -> str:
        return "new" if fresh else "old"

    with RawServer(behave) as server:
        url = f"http://127.0.0.1:{server.port}/v1"
        with OpenAiChat(url, api_key=rotated, clock=SteppingClock()) as chat:
            assert chat.complete(CALL).content == "hi"


@pytest.mark.parametrize("bad", ["", "  ", "sk-ü", "sk\nx: y", "sk\x00"])
def test_a_key_that_cannot_be_a_header_is_refused_without_showing_it(bad: str) -> None:
    def bad_key(*, fresh: bool = False) -> str:
        return bad

    clock = SteppingClock()
    chat = OpenAiChat("http://127.0.0.1:9", api_key=bad_key, clock=clock)
    with chat, pytest.raises(ModelRejected, match="put a valid key") as caught:
        chat.complete(CALL)
    assert bad.strip() == "" or bad not in str(caught.value)
