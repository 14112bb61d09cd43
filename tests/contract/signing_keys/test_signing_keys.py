"""The root key, on its twin and on Secrets Manager as moto plays it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from ratchet.adapters import aws
from ratchet.adapters.secrets import MAX_AGE_SECONDS
from ratchet.adapters.signing_keys import SecretsManagerSigningKeys
from ratchet.contracts.errors import SecretUnavailable, ServiceRefused
from ratchet.contracts.limits import SECRET_LOOK_SECONDS
from ratchet.tenancy_ports import SigningKeys
from ratchet.testing.clock import FakeClock
from ratchet.testing.signing_keys import InMemorySigningKeys
from tests.contract.moto_aws import mocked_aws


@dataclass
class Bench:
    """Keys, and how to put another root in force."""

    keys: SigningKeys
    replace: Callable[[str], None]


class Manager:
    """Secrets Manager with one secret, counting reads."""

    def __init__(self, text: str = "first") -> None:
        self.client: Any = aws.client("secretsmanager")
        self.arn = self.client.create_secret(Name="root", SecretString=text)["ARN"]
        self.clock = FakeClock()
        self.reads = 0
        self.keys = SecretsManagerSigningKeys(self._connect, self.arn, clock=self.clock)

    def _connect(self) -> Any:
        self.reads += 1
        return self.client

    def put(self, text: str) -> None:
        self.client.put_secret_value(SecretId=self.arn, SecretString=text)


@pytest.fixture
def manager() -> Iterator[Manager]:
    with mocked_aws():
        yield Manager()


@pytest.fixture(params=["twin", "secrets manager"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "twin":
        twin = InMemorySigningKeys(["first"])
        yield Bench(twin, twin.replace)
        return
    with mocked_aws():
        manager = Manager()

        def replace(root: str) -> None:
            manager.put(root)
            manager.clock.advance(SECRET_LOOK_SECONDS)

        yield Bench(manager.keys, replace)


def test_the_root_key_is_the_one_that_is_stored(bench: Bench) -> None:
    assert list(bench.keys.roots()) == ["first"]


def test_a_root_key_that_was_replaced_is_known_beside_the_new_one(bench: Bench) -> None:
    bench.keys.roots()
    bench.replace("second")
    assert list(bench.keys.roots()) == ["first"]
    assert list(bench.keys.roots(fresh=True)) == ["second", "first"]
    assert list(bench.keys.roots()) == ["second", "first"]


def test_nothing_is_connected_to_before_the_first_use(manager: Manager) -> None:
    assert manager.reads == 0
    manager.keys.roots()
    assert manager.reads == 1


def test_the_root_key_is_read_again_when_it_is_too_old(manager: Manager) -> None:
    manager.keys.roots()
    manager.put("second")
    manager.clock.advance(MAX_AGE_SECONDS - 1)
    assert manager.keys.roots() == ("first",)
    manager.clock.advance(1)
    assert manager.keys.roots() == ("second", "first")


def test_forgeries_cannot_make_it_read_more_often_than_every_fifteen_seconds(
    manager: Manager,
) -> None:
    manager.keys.roots()
    for _ in range(100):
        manager.clock.advance(0.3)
        manager.keys.roots(fresh=True)
    assert manager.reads == 3


def test_an_endpoints_rotated_secret_leaves_the_root_key_as_it_is(manager: Manager) -> None:
    manager.put(
        json.dumps({"root": "first", "endpoints": {"acme x": {"version": 2, "until_ms": 1}}})
    )
    assert manager.keys.roots() == ("first",)


def test_an_unusable_version_before_is_passed_over(manager: Manager) -> None:
    manager.put("{}")
    manager.put("third")
    assert manager.keys.roots() == ("third",)


@pytest.mark.parametrize("text", ["{}", '{"root": "", "endpoints": {}}', "{not json"])
def test_a_secret_that_holds_no_root_key_is_refused(manager: Manager, text: str) -> None:
    manager.put(text)
    with pytest.raises(ServiceRefused, match="webhook secret"):
        manager.keys.roots()


def test_a_secret_that_is_not_there_is_refused_for_good(manager: Manager) -> None:
    keys = SecretsManagerSigningKeys(lambda: manager.client, "missing", clock=manager.clock)
    with pytest.raises(ServiceRefused):
        keys.roots()


def test_a_manager_that_does_not_answer_is_unavailable(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timeout(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="https://secretsmanager")

    monkeypatch.setattr(manager.client, "get_secret_value", timeout)
    with pytest.raises(SecretUnavailable):
        manager.keys.roots()
