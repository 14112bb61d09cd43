"""Secrets, on Secrets Manager as moto plays it."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from ratchet.adapters import aws
from ratchet.adapters.secrets import MAX_AGE_SECONDS, Secrets
from ratchet.contracts.errors import SecretUnavailable, ServiceRefused
from ratchet.testing.clock import FakeClock
from tests.contract.moto_aws import mocked_aws


@pytest.fixture
def manager() -> Iterator[Any]:
    with mocked_aws():
        yield aws.client("secretsmanager")


@pytest.fixture
def arn(manager: Any) -> str:
    found: str = manager.create_secret(Name="key", SecretString="old")["ARN"]
    return found


def test_a_secret_is_read_once_until_it_is_too_old(manager: Any, arn: str) -> None:
    clock = FakeClock()
    secrets = Secrets(manager, clock)
    assert secrets.get(arn) == "old"
    manager.put_secret_value(SecretId=arn, SecretString="new")
    clock.advance(MAX_AGE_SECONDS - 1)
    assert secrets.get(arn) == "old"
    clock.advance(1)
    assert secrets.get(arn) == "new"


def test_a_secret_just_refused_can_be_read_afresh(manager: Any, arn: str) -> None:
    secrets = Secrets(manager, FakeClock())
    secrets.get(arn)
    manager.put_secret_value(SecretId=arn, SecretString="new")
    assert secrets.get(arn, fresh=True) == "new"
    assert secrets.get(arn) == "new"


def test_a_secret_that_is_not_there_is_refused_for_good(manager: Any) -> None:
    with pytest.raises(ServiceRefused):
        Secrets(manager, FakeClock()).get("missing")


def test_a_binary_secret_is_refused(manager: Any) -> None:
    arn = manager.create_secret(Name="bytes", SecretBinary=b"\x00")["ARN"]
    with pytest.raises(ServiceRefused, match="bytes"):
        Secrets(manager, FakeClock()).get(arn)


def test_a_manager_that_does_not_answer_is_unavailable_and_its_text_is_not_in_the_error(
    manager: Any, arn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timeout(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="https://secretsmanager")

    clock = FakeClock()
    secrets = Secrets(manager, clock)
    secrets.get(arn)
    clock.advance(MAX_AGE_SECONDS)
    monkeypatch.setattr(manager, "get_secret_value", timeout)
    with pytest.raises(SecretUnavailable) as raised:
        secrets.get(arn)
    assert "old" not in str(raised.value)
