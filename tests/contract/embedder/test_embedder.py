"""What every `Embedder` does: the scripted one, and the OpenAI adapter against the scripted server."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ratchet.adapters.openai_chat import Names, OpenAiChat
from ratchet.adapters.system import SystemClock
from ratchet.contracts.errors import ModelRejected, ModelUnavailable
from ratchet.domain.semantic_cache import GoalVector
from ratchet.model_ports import Embedder, EmbeddingCall
from ratchet.testing.chat import ScriptedChat
from ratchet.testing.model_server import ModelServer

CALL = EmbeddingCall("text-embedding-3-small", "How large is the battery?", 20.0)


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer.start(api_key="k") as running:
        yield running


def openai(server: ModelServer, *, key: str = "k", names: Names | None = None) -> OpenAiChat:
    return OpenAiChat(
        server.base_url, api_key=lambda *, fresh=False: key, clock=SystemClock(), names=names
    )


@pytest.fixture
def openai_chat(server: ModelServer) -> Iterator[OpenAiChat]:
    with openai(server) as chat:
        yield chat


@pytest.fixture(params=["scripted", "openai"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    if request.param == "scripted":
        return ScriptedChat()
    chat: OpenAiChat = request.getfixturevalue("openai_chat")
    return chat


def test_like_texts_have_like_vectors_and_every_call_counts_its_tokens(embedder: Embedder) -> None:
    texts = (CALL.text, "How large is the new battery?", "Zebras sleep standing.")
    answers = [embedder.embed(replace(CALL, text=text)) for text in texts]
    same, near, far = (GoalVector.of(answer.numbers) for answer in answers)
    assert same.similarity(near) > same.similarity(far)
    assert all(answer.usage.input_tokens > 0 == answer.usage.output_tokens for answer in answers)


def test_the_same_text_has_the_same_vector(embedder: Embedder) -> None:
    assert embedder.embed(CALL).numbers == embedder.embed(CALL).numbers


def test_a_request_holds_the_text_and_the_model_as_the_provider_calls_it(
    server: ModelServer,
) -> None:
    with openai(server, names=Names("eu", "text-embedding-3-large")) as chat:
        answer = chat.embed(CALL)
    asked = server.requests()[-1]
    assert asked.path == "/v1/embeddings"
    assert asked.body == {"model": "text-embedding-3-large", "input": CALL.text}
    assert len(answer.numbers) == 3_072


def test_a_refusal_says_what_to_do(server: ModelServer, openai_chat: OpenAiChat) -> None:
    with pytest.raises(ModelRejected, match="does not know model 'dream-7'"):
        openai_chat.embed(replace(CALL, model="dream-7"))
    with pytest.raises(ModelRejected, match="refuses the request"):
        openai_chat.embed(replace(CALL, text=""))
    with (
        openai(server, key="old") as chat,
        pytest.raises(ModelRejected, match="refused the API key"),
    ):
        chat.embed(CALL)


def test_nobody_there_is_unavailability() -> None:
    with (
        OpenAiChat(
            "http://127.0.0.1:9/v1", api_key=lambda *, fresh=False: "k", clock=SystemClock()
        ) as chat,
        pytest.raises(ModelUnavailable),
    ):
        chat.embed(CALL)
