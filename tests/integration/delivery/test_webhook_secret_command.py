"""`ratchet webhook-secret` on moto: what it prints signs, and two rotations at once do not undo each other."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from ratchet.cli import webhook_secret_command as command
from ratchet.cli.config import ApiConfig
from ratchet.cli.errors import CliError
from ratchet.cli.main import app
from ratchet.cli.tenant_erasing import WebhookRotations
from ratchet.domain.webhook_keys import WebhookKeys
from tests.contract.moto_aws import mocked_aws

URL = "https://hooks.example.com/a"
CONFIG = ApiConfig("https://api.example.com", None, "a test")
ROOT = "root-key-of-letters-and-digits"


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with mocked_aws():
        manager: Any = boto3.client("secretsmanager", region_name="eu-west-1")
        arn = manager.create_secret(Name="webhook", SecretString=ROOT)["ARN"]
        monkeypatch.setattr(command, "clients", lambda _config, *_: (None, manager))
        monkeypatch.setattr(command, "stack_outputs", lambda _, __: {"WebhookSecretArn": arn})
        monkeypatch.setattr(command, "api_config", lambda: CONFIG)
        manager.arn = arn
        yield manager


def stored(manager: Any) -> str:
    return str(
        manager.get_secret_value(SecretId=manager.arn, VersionStage="AWSCURRENT")["SecretString"]
    )


def ratchet(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        app(args=["webhook-secret", *arguments])
    assert ended.value.code == 0
    return capsys.readouterr().out


def secrets(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    found: list[str] = json.loads(ratchet(capsys, URL, "--json", *arguments))["secrets"]
    return found


def test_it_prints_what_signs_and_changes_nothing(
    manager: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = list(WebhookKeys.parse(ROOT).secrets("default", URL, now_ms=0))
    assert secrets(capsys) == expected
    assert ratchet(capsys, URL).split() == expected
    assert secrets(capsys, "--tenant", "acme") != expected
    assert stored(manager) == ROOT


def test_a_rotation_puts_a_new_secret_before_the_old_one(
    manager: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (old,) = secrets(capsys)
    new, also = secrets(capsys, "--rotate")
    assert also == old != new
    assert secrets(capsys) == [new, old]
    assert secrets(capsys, "--tenant", "acme") == list(
        WebhookKeys.parse(ROOT).secrets("acme", URL, now_ms=0)
    )
    for _ in range(25):  # a secret has room for twenty labels
        (newest,) = secrets(capsys, "--rotate", "--overlap", "0")
    assert secrets(capsys) == [newest]
    assert json.loads(stored(manager))["root"] == ROOT


def test_of_two_rotations_at_once_one_is_told_to_come_again(manager: Any) -> None:
    def overtaken(keys: WebhookKeys) -> WebhookKeys:
        command.stored_keys(CONFIG, "Ratchet", change=rotated("https://b.example.com/"))
        return rotated(URL)(keys)

    def rotated(url: str) -> command.Change:
        return lambda keys: keys.rotated("default", url, now_ms=0, overlap_ms=0)

    with pytest.raises(CliError, match="somebody else"):
        command.stored_keys(CONFIG, "Ratchet", change=overtaken)
    assert list(json.loads(stored(manager))["endpoints"]) == ["default https://b.example.com/"]


def test_what_cannot_be_read_is_an_error_that_says_what_to_do(manager: Any) -> None:
    manager.put_secret_value(SecretId=manager.arn, SecretString="{broken")
    with pytest.raises(CliError, match="neither a text nor"):
        command.webhook_secret(URL)
    manager.delete_secret(SecretId=manager.arn, ForceDeleteWithoutRecovery=True)
    with pytest.raises(CliError, match="cannot be reached"):
        command.webhook_secret(URL)


def test_erasing_a_tenant_forgets_its_rotations_and_writes_nothing_else(
    manager: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rotations = WebhookRotations(CONFIG, "Ratchet")
    assert rotations.erase("acme") == {"webhook secret rotations": 0}
    assert stored(manager) == ROOT
    for tenant in ("acme", "acme-2"):
        secrets(capsys, "--tenant", tenant, "--rotate")
    assert rotations.erase("acme") == {"webhook secret rotations": 1}
    assert set(WebhookKeys.parse(stored(manager)).rotations) == {f"acme-2 {URL}"}
