"""step_executor's models as it wires them: two providers over real HTTP, the real SDK, keys and state on moto."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from functions.step_executor import deployments, models
from ratchet.adapters import aws
from ratchet.adapters.openai_chat import OpenAiChat
from ratchet.adapters.system import SystemClock
from ratchet.contracts.errors import ModelRejected, ModelThrottled, ModelUnavailable
from ratchet.contracts.providers import ProviderDeployment, Providers
from ratchet.contracts.settings import NO_PROVIDERS, StepExecutorSettings
from ratchet.domain.circuit import FAILURES_TO_OPEN
from ratchet.domain.deployments import Deployment, preference
from ratchet.domain.messages import Message
from ratchet.domain.models import built_in
from ratchet.domain.prompt import Prompt
from ratchet.model_ports import ChatModel, ModelCall
from ratchet.testing.model_server import Fault, FaultKind, ModelServer
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import create_table
from tests.contract.store.wire import Traffic, watched

TABLE = "checkpoints"
THERE = {"eu": "gpt-4.1", "us": "gpt-4.1-mini"}
PROMPT = Prompt((Message("system", "Be brief."), Message("user", "Hello?")), (), "none", None, "k")
CALL = ModelCall("gpt-4o", PROMPT, 500, 60.0, sticky_key="task-1")


@dataclass
class Site:
    """A table, a secret for each provider, and the providers."""

    dynamodb: Any
    secrets: Any
    servers: dict[str, ModelServer]
    arns: dict[str, str]

    def settings(self, **options: Any) -> StepExecutorSettings:
        deployments = [
            ProviderDeployment(
                name=name,
                model="gpt-4o",
                base_url=self.servers[name].base_url,
                model_there=THERE[name],
                secret_arn=self.arns[name],
                **options,
            )
            for name in ("eu", "us")
        ]
        return self._told(Providers(deployments=tuple(deployments)).to_setting())

    def plain(self) -> StepExecutorSettings:
        return self._told(NO_PROVIDERS)

    def _told(self, providers: str) -> StepExecutorSettings:
        return StepExecutorSettings(
            table_name=TABLE,
            payload_bucket="b",
            model_base_url=self.servers["main"].base_url,
            model_key_secret_arn=self.arns["main"],
            providers=providers,
            model_patience_seconds=30,
            steps_per_execution=500,
            clock_margin_seconds=600,
            tenant_caps="none",
        )

    def asked(self, name: str) -> list[str]:
        return [str(r.body["model"]) for r in self.servers[name].requests()]

    def order(self) -> tuple[str, str]:
        both = [Deployment("eu", "gpt-4o"), Deployment("us", "gpt-4o")]
        first, second = (d.name for d in preference(CALL.sticky_key, both))
        return first, second


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    opened: list[OpenAiChat] = []

    def open_chat(*args: Any, **options: Any) -> OpenAiChat:
        opened.append(OpenAiChat(*args, **options))
        return opened[-1]

    for module in (models, deployments):
        monkeypatch.setattr(module, "OpenAiChat", open_chat)
    with mocked_aws():
        dynamodb, secrets = aws.client("dynamodb"), aws.client("secretsmanager")
        create_table(dynamodb, TABLE)
        names = ("main", "eu", "us")
        arns = {
            name: secrets.create_secret(Name=name, SecretString=f"sk-{name}")["ARN"]
            for name in names
        }
        # moto plays AWS by host name; loopback passes through to the servers.
        servers = {name: ModelServer.start(api_key=f"sk-{name}") for name in names}
        yield Site(dynamodb, secrets, servers, arns)
        for chat in opened:
            chat.close()
        for server in servers.values():
            server.close()


def made(settings: StepExecutorSettings) -> ChatModel:
    return models.chat_model(settings, SystemClock(), models=built_in())


def kinds(traffic: Traffic) -> list[str]:
    return [name for name, _ in traffic.requests]


def test_without_deployments_there_is_one_client_and_no_request_to_the_table(site: Site) -> None:
    model = made(site.plain())
    assert isinstance(model, OpenAiChat)
    with watched(site.dynamodb) as traffic:
        answer = model.complete(CALL)
    assert (answer.deployment, site.asked("main")) == ("", ["gpt-4o"])
    assert kinds(traffic) == []


def test_a_deployment_has_its_own_address_key_and_name_for_the_model(site: Site) -> None:
    first, second = site.order()
    with watched(site.dynamodb) as traffic:
        answer = made(site.settings()).complete(CALL)
    assert answer.deployment == first
    assert site.asked(first) == [THERE[first]]
    assert site.asked(second) == site.asked("main") == []
    assert kinds(traffic) == [], "without rpm and tpm nothing is counted"


def test_a_model_that_has_no_deployment_goes_to_the_one_address(site: Site) -> None:
    made(site.settings()).complete(replace(CALL, model="o3-mini"))
    assert site.asked("main") == ["o3-mini"]


@pytest.mark.parametrize(
    "fault", [Fault(status=503, times=1000), Fault(kind=FaultKind.RESET, times=1000)]
)
def test_when_one_provider_fails_the_other_answers_and_soon_is_asked_alone(
    site: Site, fault: Fault
) -> None:
    first, second = site.order()
    site.servers[first].inject(fault)
    model = made(site.settings())
    with watched(site.dynamodb) as traffic:
        answers = [model.complete(CALL) for _ in range(FAILURES_TO_OPEN + 4)]
    assert {a.deployment for a in answers} == {second}
    assert {a.passed_over for a in answers} == {(first,)}
    assert len(site.asked(first)) == FAILURES_TO_OPEN
    assert kinds(traffic) == ["GetItem", "UpdateItem"]


def test_a_provider_that_does_not_answer_in_its_time_is_one_that_fails(site: Site) -> None:
    first, second = site.order()
    site.servers[first].inject(Fault(kind=FaultKind.TIMEOUT, times=1000))
    model = made(site.settings(timeout_seconds=0.2))
    answers = [model.complete(CALL) for _ in range(FAILURES_TO_OPEN + 2)]
    assert {a.deployment for a in answers} == {second}
    assert len(site.asked(first)) == FAILURES_TO_OPEN


def test_another_sandbox_needs_one_failure_to_know(site: Site) -> None:
    first, _ = site.order()
    site.servers[first].inject(Fault(status=500, times=1000))
    one, other = (made(site.settings()) for _ in range(2))
    for _ in range(FAILURES_TO_OPEN):
        one.complete(CALL)
    for _ in range(3):
        other.complete(CALL)
    assert len(site.asked(first)) == FAILURES_TO_OPEN + 1


def test_both_out_is_an_outage_that_names_the_preferred_one(site: Site) -> None:
    for name in ("eu", "us"):
        site.servers[name].inject(Fault(status=503, times=1000))
    with pytest.raises(ModelUnavailable, match=rf"deployment {site.order()[0]}"):
        made(site.settings()).complete(CALL)


def test_a_rotated_key_is_read_again_once_and_goes_on(site: Site) -> None:
    first, _ = site.order()
    model = made(site.settings())
    model.complete(CALL)
    site.servers[first].close()
    with ModelServer.start(api_key="sk-new", port=_port(site.servers[first])):
        site.secrets.put_secret_value(SecretId=site.arns[first], SecretString="sk-new")
        with watched(site.secrets) as traffic:
            answer = model.complete(CALL)
        assert answer.deployment == first
        assert kinds(traffic) == ["GetSecretValue"]


def test_a_wrong_key_is_the_next_providers_turn_and_the_error_says_which(site: Site) -> None:
    first, second = site.order()
    site.secrets.put_secret_value(SecretId=site.arns[first], SecretString="sk-wrong")
    model = made(site.settings())
    assert model.complete(CALL).deployment == second
    site.secrets.put_secret_value(SecretId=site.arns[second], SecretString="sk-wrong")
    with pytest.raises(ModelRejected, match=r"deployment (eu|us)\).*put a valid key"):
        made(site.settings()).complete(CALL)


def test_with_a_quota_a_call_is_one_write_and_one_beyond_it_never_leaves(site: Site) -> None:
    model = made(site.settings(rpm=2))
    model.complete(CALL)  # a cold sandbox takes the line for busy, and asks twice
    with watched(site.dynamodb) as traffic, pytest.raises(ModelThrottled) as caught:
        model.complete(CALL)
    assert kinds(traffic) == ["UpdateItem"]
    assert len(site.asked("eu") + site.asked("us")) == 1
    assert caught.value.place.startswith(f"{site.order()[0]}@")
    assert caught.value.retry_after_seconds == pytest.approx(60 / 2 / 0.975, abs=5)


def _port(server: ModelServer) -> int:
    return int(server.base_url.rsplit(":", 1)[1].removesuffix("/v1"))
