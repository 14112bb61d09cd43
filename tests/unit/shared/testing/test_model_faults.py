"""Faults: each kind as the real client meets it, and how they are counted."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pydantic
import pytest
from openai import OpenAI

from ratchet.testing.model_server import Fault, FaultKind, ModelServer

GOAL = [{"role": "user", "content": "Find the answer."}]
SEARCH = {
    "type": "function",
    "function": {
        "name": "search_documents",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string"}},
            "required": ["query"],
        },
    },
}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer.start() as running:
        yield running


@pytest.fixture(scope="module")
def connections() -> Iterator[OpenAI]:
    with OpenAI(api_key="any", max_retries=0) as opened:
        yield opened


@pytest.fixture
def client(server: ModelServer, connections: OpenAI) -> OpenAI:
    return connections.with_options(base_url=server.base_url)


def ask(client: OpenAI, messages: Any = GOAL, model: str = "gpt-4o", **options: Any) -> Any:
    return client.chat.completions.create(model=model, messages=messages, **options)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, openai.AuthenticationError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
        (529, openai.InternalServerError),
    ],
)
def test_a_status_fault_is_the_error_the_client_knows_and_then_over(
    server: ModelServer, client: OpenAI, status: int, error: type[openai.APIStatusError]
) -> None:
    server.inject(Fault(status=status))
    with pytest.raises(error) as caught:
        ask(client)
    assert caught.value.status_code == status
    assert "retry-after" not in caught.value.response.headers
    assert ask(client).choices[0].message.content
    assert [request.status for request in server.requests()] == [status, 200]


def test_retry_after_is_sent_in_seconds_and_milliseconds(
    server: ModelServer, client: OpenAI
) -> None:
    server.inject(Fault(status=429, retry_after=1.5, retry_after_ms=1500, code="other"))
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client)
    assert caught.value.response.headers["retry-after"] == "1.5"
    assert caught.value.response.headers["retry-after-ms"] == "1500"
    assert caught.value.code == "other"


def test_a_reset_cuts_the_answer(server: ModelServer, client: OpenAI) -> None:
    server.inject(Fault(kind=FaultKind.RESET))
    with pytest.raises(openai.APIConnectionError):
        ask(client)
    assert ask(client)
    assert server.requests()[0].status == 0


def test_a_reset_cuts_a_stream(server: ModelServer, client: OpenAI) -> None:
    server.inject(Fault(kind=FaultKind.RESET))
    stream = ask(client, stream=True)
    with pytest.raises(Exception, match=r"(?i)reset|peer|closed|connection|read"):
        list(stream)


def test_a_timeout_holds_the_connection_until_the_client_gives_up(
    server: ModelServer, client: OpenAI
) -> None:
    server.inject(Fault(kind=FaultKind.TIMEOUT))
    with pytest.raises(openai.APITimeoutError):
        ask(client.with_options(timeout=0.1))
    assert ask(client)


def test_closing_the_server_lets_go_of_held_connections() -> None:
    arrived = threading.Event()
    with ModelServer.start() as server, ThreadPoolExecutor(1) as pool:
        server.inject(Fault(kind=FaultKind.SLOW, latency_ms=100_000))

        def hang() -> None:
            with OpenAI(base_url=server.base_url, api_key="x", max_retries=0) as client:
                arrived.set()
                ask(client)

        held = pool.submit(hang)
        arrived.wait(10)
        while not server.requests():
            assert not held.done()
        server.close()
        with pytest.raises(openai.APIConnectionError):
            held.result(10)


def test_a_slow_answer_is_still_right(server: ModelServer, client: OpenAI) -> None:
    server.inject(Fault(kind=FaultKind.SLOW, latency_ms=1))
    slow = ask(client)
    assert slow.choices == ask(client).choices


def test_a_malformed_body_is_not_json(server: ModelServer, client: OpenAI) -> None:
    server.inject(Fault(kind=FaultKind.MALFORMED))
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=[{"role": "user", "content": "x"}]
    )
    assert raw.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(raw.content)


def test_malformed_arguments_and_unknown_tools_are_what_the_model_asks_for(
    server: ModelServer, client: OpenAI
) -> None:
    server.inject(Fault(kind=FaultKind.MALFORMED_ARGUMENTS))
    server.inject(Fault(kind=FaultKind.UNKNOWN_TOOL))
    broken, unknown, right = (
        ask(client, tools=[SEARCH]).choices[0].message.tool_calls[0] for _ in range(3)
    )
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken.function.arguments)
    assert broken.function.name == "search_documents"
    assert unknown.function.name == "no_such_tool"
    assert right.function.name == "search_documents"
    assert broken.id == unknown.id == right.id


def test_repairs_of_one_turn_share_its_count(server: ModelServer, client: OpenAI) -> None:
    server.inject(Fault(kind=FaultKind.MALFORMED_ARGUMENTS, times=2))
    messages: list[Any] = list(GOAL)
    broken = 0
    for _ in range(3):
        message = ask(client, messages, tools=[SEARCH]).choices[0].message
        (call,) = message.tool_calls
        broken += not call.function.arguments.endswith("}")
        messages.append(message.model_dump(include={"role", "tool_calls"}))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "error: broken"})
    assert broken == 2


def test_a_tool_call_is_made_up_to_be_broken(server: ModelServer, client: OpenAI) -> None:
    server.inject(Fault(kind=FaultKind.UNKNOWN_TOOL))
    other = {"type": "function", "function": {"name": "refund", "parameters": {"type": "object"}}}
    calls = ask(client, tools=[other]).choices[0].message.tool_calls
    assert calls[0].function.name == "no_such_tool"


@pytest.mark.parametrize(
    ("kind", "finish"),
    [
        (FaultKind.EMPTY, "stop"),
        (FaultKind.CONTENT_FILTER, "content_filter"),
        (FaultKind.TRUNCATED, "length"),
        (FaultKind.REFUSAL, "stop"),
    ],
)
def test_spoilt_answers_say_how_they_ended(
    server: ModelServer, client: OpenAI, kind: FaultKind, finish: str
) -> None:
    server.inject(Fault(kind=kind))
    choice = ask(client).choices[0]
    whole = ask(client).choices[0].message.content
    assert choice.finish_reason == finish
    assert choice.message.content in {None, "", whole[: len(choice.message.content or "")]}
    assert (choice.message.refusal is not None) == (kind is FaultKind.REFUSAL)


def test_a_truncated_tool_call_has_half_its_arguments(server: ModelServer, client: OpenAI) -> None:
    server.inject(Fault(kind=FaultKind.TRUNCATED))
    choice = ask(client, tools=[SEARCH]).choices[0]
    assert choice.finish_reason == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(choice.message.tool_calls[0].function.arguments)


def test_context_length_is_exceeded_by_fault_or_by_a_prompt_too_long(
    server: ModelServer, client: OpenAI
) -> None:
    server.inject(Fault(kind=FaultKind.CONTEXT_LENGTH_EXCEEDED))
    with pytest.raises(openai.BadRequestError) as injected:
        ask(client)
    with pytest.raises(openai.BadRequestError) as real:
        ask(client, [{"role": "user", "content": "x" * 70_000}], model="gpt-3.5-turbo")
    assert injected.value.code == real.value.code == "context_length_exceeded"


def test_a_fault_is_counted_per_conversation_and_turn_even_under_concurrency(
    server: ModelServer, client: OpenAI
) -> None:
    server.inject(Fault(status=503, times=2, model=r"^gpt-4o$", turn=0))

    def statuses(name: str) -> list[int]:
        messages = [{"role": "user", "content": f"Goal {name}"}]
        return [status_of(client, messages) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(statuses, "abcd")) == [[503, 503, 200, 200]] * 4
    assert status_of(client, [{"role": "user", "content": "new"}], model="gpt-4o-mini") == 200
    later = [*GOAL, {"role": "assistant", "content": "So?"}, *GOAL]
    assert status_of(client, later) == 200


def test_the_task_header_tells_equal_conversations_apart(
    server: ModelServer, client: OpenAI
) -> None:
    server.inject(Fault(status=503))
    tasks = ("task_a", "task_b", "task_a")
    headers = ({"x-ratchet-task": task} for task in tasks)
    assert [status_of(client, extra_headers=h) for h in headers] == [503, 503, 200]


def test_a_fault_fits_by_goal_step_and_index(server: ModelServer, client: OpenAI) -> None:
    server.inject(Fault(status=500, goal="(?i)answer", step="act", index=1))
    act = {"role": "user", "content": "[ratchet:act] Use the tools."}
    said = {"role": "assistant", "content": "Thinking."}
    assert status_of(client, [*GOAL, act]) == 200
    assert status_of(client, [*GOAL, act, said, act]) == 500


def test_cleared_faults_are_over_but_scripted_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "flaky.yaml").write_text(
        "name: flaky\nmatch: {goal: flaky}\nturns: [{content: Fine.}]\n"
        "faults: [{turn: 0, first: 1, status: 429, retry_after: 1}]\n"
    )
    with (
        ModelServer.start(tmp_path) as server,
        OpenAI(base_url=server.base_url, api_key="x", max_retries=0) as client,
    ):
        flaky = [{"role": "user", "content": "flaky"}]
        server.inject(Fault(status=500, times=9))
        assert status_of(client, flaky) == 500
        server.clear_faults()
        assert [status_of(client, flaky) for _ in range(2)] == [429, 200]


def test_a_fault_that_makes_no_sense_is_refused() -> None:
    for wrong in ({"kind": "reset", "status": 500}, {"kind": "status"}, {"kind": "slow"}):
        with pytest.raises(pydantic.ValidationError):
            Fault.model_validate(wrong)


def status_of(client: OpenAI, messages: Any = GOAL, model: str = "gpt-4o", **options: Any) -> int:
    try:
        ask(client, messages, model, **options)
    except openai.APIStatusError as exc:
        return exc.status_code
    return 200
