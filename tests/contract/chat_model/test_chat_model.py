"""What every `ChatModel` does: the scripted one, and the OpenAI adapter against the scripted server."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest

from ratchet.adapters.openai_chat import OpenAiChat
from ratchet.adapters.system import SystemClock
from ratchet.contracts.errors import (
    ContextOverflow,
    ModelError,
    ModelRejected,
    ModelThrottled,
    ModelUnavailable,
)
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.policy import ACT, PLANNING
from ratchet.domain.prompt import PLAN_SCHEMA, Prompt, ResponseFormat
from ratchet.model_ports import ChatModel, ModelAnswer, ModelCall
from ratchet.testing.chat import ScriptedChat, asks, says
from ratchet.testing.model_server import Fault, FaultKind, ModelServer

LOOK = {
    "type": "function",
    "function": {
        "name": "search_documents",
        "description": "Search.",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string"}},
            "required": ["query"],
            "additionalProperties": False,
        },
    },
}
HEAD = (Message("system", "You find things."), Message("user", "When was the bridge built?"))
PLAN = Prompt(
    (*HEAD, Message("user", PLANNING)),
    (LOOK,),
    "none",
    ResponseFormat("plan", PLAN_SCHEMA, strict=True),
    "finder:1",
)
ACTING = Prompt((*HEAD, Message("user", ACT)), (LOOK,), "auto", None, "finder:1")
CALL = ModelCall("gpt-4o-mini", ACTING, max_output_tokens=500, timeout_seconds=20)
PLANNING_CALL = ModelCall("o3-mini", PLAN, max_output_tokens=500, timeout_seconds=20)


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer.start() as running:
        yield running


@pytest.fixture
def openai_chat(server: ModelServer) -> Iterator[OpenAiChat]:
    server.clear_faults()
    with OpenAiChat(
        server.base_url, api_key=lambda *, fresh=False: "k", clock=SystemClock()
    ) as chat:
        yield chat


Failing = Callable[[str], ChatModel]
FAULTS = {
    "throttled": Fault(status=429, retry_after=7),
    "no money": Fault(status=429, code="insufficient_quota"),
    "down": Fault(status=503),
    "cut": Fault(kind=FaultKind.RESET),
    "garbled": Fault(kind=FaultKind.MALFORMED),
    "wrong key": Fault(status=401),
    "unknown model": Fault(status=404, code="model_not_found"),
    "too long": Fault(kind=FaultKind.CONTEXT_LENGTH_EXCEEDED),
}
ERRORS: dict[str, ModelError] = {
    "throttled": ModelThrottled("429", 7.0),
    "no money": ModelRejected("429"),
    "down": ModelUnavailable("503"),
    "cut": ModelUnavailable("reset"),
    "garbled": ModelUnavailable("no JSON"),
    "wrong key": ModelRejected("401"),
    "unknown model": ModelRejected("404"),
    "too long": ContextOverflow("400"),
}


@pytest.fixture(params=["scripted", "openai"])
def failing(request: pytest.FixtureRequest, server: ModelServer) -> Failing:
    """A model whose next call fails in the named way."""
    if request.param == "scripted":
        return lambda how: ScriptedChat([ERRORS[how]])
    chat: OpenAiChat = request.getfixturevalue("openai_chat")

    def inject(how: str) -> ChatModel:
        server.inject(FAULTS[how].model_copy(update={"times": 1000}))
        return chat

    return inject


@pytest.fixture(params=["scripted", "openai"])
def chat(request: pytest.FixtureRequest) -> ChatModel:
    """A model that plans, then searches."""
    if request.param == "openai":
        chat: OpenAiChat = request.getfixturevalue("openai_chat")
        return chat
    plan = '{"plan": ["search"], "complexity": "simple"}'
    search = ToolCall("call_1", "search_documents", '{"query": "bridge"}')

    def decide(call: ModelCall) -> ModelAnswer:
        return says(plan) if call.prompt.response_format else asks(search)

    return ScriptedChat(decide)


def test_an_answer_in_words_stops_and_costs_tokens(chat: ChatModel) -> None:
    answer = chat.complete(PLANNING_CALL)
    assert answer.content
    assert (answer.tool_calls, answer.finish_reason, answer.refusal) == ((), "stop", None)
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


def test_an_answer_may_ask_for_tools(chat: ChatModel) -> None:
    answer = chat.complete(CALL)
    assert answer.finish_reason == "tool_calls"
    assert [call.name for call in answer.tool_calls] == ["search_documents"]
    assert all(call.id for call in answer.tool_calls)


def test_an_answer_can_be_put_back_into_the_next_prompt(chat: ChatModel) -> None:
    first = chat.complete(CALL)
    added = (
        Message("assistant", first.content, first.tool_calls),
        *(Message("tool", "{}", tool_call_id=call.id) for call in first.tool_calls),
    )
    assert chat.complete(replace(CALL, prompt=ACTING.with_messages(added))).finish_reason


@pytest.mark.parametrize("how", ERRORS)
def test_every_failure_has_its_error(failing: Failing, how: str) -> None:
    with pytest.raises(ModelError) as caught:
        failing(how).complete(CALL)
    assert type(caught.value) is type(ERRORS[how])


def test_a_throttled_call_says_how_long_to_wait(failing: Failing) -> None:
    with pytest.raises(ModelThrottled) as caught:
        failing("throttled").complete(CALL)
    assert caught.value.retry_after_seconds == 7.0


# --- the OpenAI adapter alone


def test_one_call_is_one_request_even_when_it_fails(
    openai_chat: OpenAiChat, server: ModelServer
) -> None:
    server.inject(Fault(status=500, times=1000))
    before = len(server.requests())
    with pytest.raises(ModelUnavailable):
        openai_chat.complete(CALL)
    assert len(server.requests()) == before + 1


def test_the_server_sees_what_the_capability_table_says(
    openai_chat: OpenAiChat, server: ModelServer
) -> None:
    openai_chat.complete(PLANNING_CALL)
    planned = server.requests()[-1].body
    assert planned["response_format"]["json_schema"]["strict"] is True
    assert planned["tool_choice"] == "none"
    assert "temperature" not in planned
    openai_chat.complete(CALL)
    acted = server.requests()[-1].body
    assert acted["temperature"] == 0
    assert acted["prompt_cache_key"] == "finder:1"
    assert acted["messages"] == [message.to_chat() for message in ACTING.messages]


def test_a_growing_prompt_is_served_from_the_providers_cache(openai_chat: OpenAiChat) -> None:
    long = replace(ACTING, messages=(Message("system", "Rules. " * 2000), *ACTING.messages[1:]))
    fresh = openai_chat.complete(replace(CALL, prompt=long)).usage
    grown = long.with_messages((Message("user", "Go on."),))
    again = openai_chat.complete(replace(CALL, prompt=grown)).usage
    assert fresh.cached_tokens == 0
    assert again.cached_tokens > 3000


@pytest.mark.parametrize(
    ("fault", "finish"),
    [
        (FaultKind.TRUNCATED, "length"),
        (FaultKind.CONTENT_FILTER, "content_filter"),
        (FaultKind.EMPTY, "stop"),
        (FaultKind.REFUSAL, "stop"),
    ],
)
def test_odd_endings_are_answers_not_errors(
    openai_chat: OpenAiChat, server: ModelServer, fault: FaultKind, finish: str
) -> None:
    server.inject(Fault(kind=fault, times=1000))
    answer = openai_chat.complete(PLANNING_CALL)
    assert answer.finish_reason == finish
    assert (answer.refusal is not None) == (fault is FaultKind.REFUSAL)


def test_a_call_that_is_never_answered_ends_at_its_timeout(
    openai_chat: OpenAiChat, server: ModelServer
) -> None:
    server.inject(Fault(kind=FaultKind.TIMEOUT, times=1000))
    with pytest.raises(ModelUnavailable, match="in time"):
        openai_chat.complete(replace(CALL, timeout_seconds=0.1))


def keys(asked: list[bool], *, old: str, new: str, fresh: bool = False) -> str:
    asked.append(fresh)
    return new if fresh else old


@pytest.mark.parametrize(
    ("new", "expected", "requests"),
    [("right", None, 2), ("wrong too", ModelRejected, 2), ("old", ModelRejected, 1)],
)
def test_a_refused_key_is_fetched_again_once(
    new: str, expected: type[ModelError] | None, requests: int
) -> None:
    asked: list[bool] = []
    provider = partial(keys, asked, old="old", new=new)
    with (
        ModelServer.start(api_key="right") as guarded,
        OpenAiChat(guarded.base_url, api_key=provider, clock=SystemClock()) as chat,
    ):
        if expected is None:
            assert chat.complete(CALL).tool_calls
        else:
            with pytest.raises(expected, match="put a valid key into the secret"):
                chat.complete(CALL)
        assert len(guarded.requests()) == requests
    assert asked == [False, True]


def test_a_script_that_is_over_says_so() -> None:
    with pytest.raises(AssertionError, match="no more outcomes"):
        ScriptedChat().complete(CALL)
