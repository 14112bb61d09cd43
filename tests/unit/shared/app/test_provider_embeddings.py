"""Embeddings of a model at several providers: the first that gives one, and never longer than the call may take."""

from dataclasses import replace

import pytest

from ratchet.app.provider_chat import ProviderChat
from ratchet.contracts.errors import ModelError, ModelRejected, ModelThrottled, ModelUnavailable
from ratchet.domain.deployments import Deployment, preference
from ratchet.domain.quota import Quota
from ratchet.model_ports import Embedding, EmbeddingCall
from ratchet.testing.chat import ScriptedChat
from ratchet.testing.clock import FakeClock
from ratchet.testing.provider_state import InMemoryProviders

MODEL = "text-embedding-3-small"
CALL = EmbeddingCall(MODEL, "How large?", 10.0, sticky_key="task_1")
DEPLOYMENTS = tuple(Deployment(name, MODEL, quota=Quota(600, None)) for name in ("eu", "us"))


class Provider(ScriptedChat):
    """One that may be out, which it takes some seconds to say."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.error: ModelError | None = None
        self.takes_seconds = 0.0

    def embed(self, call: EmbeddingCall) -> Embedding:
        answer = super().embed(call)
        self.clock.advance(self.takes_seconds)
        if self.error is not None:
            raise self.error
        return answer


class Site:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.state = InMemoryProviders()
        self.providers = {name: Provider(self.clock) for name in ("eu", "us", "elsewhere")}
        self.models = ProviderChat(
            DEPLOYMENTS,
            clients=self.providers.__getitem__,
            elsewhere=self.providers["elsewhere"],
            state=self.state,
            clock=self.clock,
        )
        order = [d.name for d in preference(CALL.sticky_key, DEPLOYMENTS)]
        self.first, self.second = (self.providers[name] for name in order)

    def asked(self) -> list[str]:
        return [name for name, provider in self.providers.items() if provider.embedded]


def test_the_tasks_own_deployment_is_asked_without_a_place_in_its_quota() -> None:
    site = Site()
    assert site.models.embed(CALL) == ScriptedChat().embed(CALL)
    assert (site.first.embedded, site.second.embedded) == ([CALL], [])
    assert not site.state.requests


def test_a_model_without_deployments_is_asked_elsewhere() -> None:
    site = Site()
    call = replace(CALL, model="text-embedding-3-large")
    site.models.embed(call)
    assert (site.asked(), site.providers["elsewhere"].embedded) == (["elsewhere"], [call])


@pytest.mark.parametrize("error", [ModelUnavailable("503"), ModelThrottled("429", 60.0)])
def test_when_one_gives_none_the_next_is_asked_for_the_rest_of_the_time(error: ModelError) -> None:
    site = Site()
    site.first.error, site.first.takes_seconds = error, 4.0
    site.models.embed(CALL)
    assert site.second.embedded == [replace(CALL, timeout_seconds=6.0)]


def test_when_time_is_up_or_nobody_is_left_the_last_error_stands() -> None:
    site = Site()
    site.first.error, site.first.takes_seconds = ModelUnavailable("slow"), 9.0
    with pytest.raises(ModelUnavailable, match="slow"):
        site.models.embed(CALL)
    assert site.second.embedded == []
    site.first.takes_seconds, site.second.error = 0.0, ModelRejected("no such model")
    with pytest.raises(ModelRejected, match="no such model"):
        site.models.embed(CALL)
