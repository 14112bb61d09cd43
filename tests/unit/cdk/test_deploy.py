"""What the pinned CDK CLI is asked to do."""

from pathlib import Path

import boto3
import botocore.exceptions
import pytest

from cdk import deploy

OUT = Path("assembly")
TARGET = deploy.Target("123456789012", "eu-west-1")


def arguments(*given: str) -> list[str]:
    return deploy.cli_arguments(deploy._parser().parse_args(given), OUT)


def test_the_cli_gets_the_assembly_that_was_synthesized_here() -> None:
    assert arguments()[:3] == ["deploy", "--app", "assembly"]
    assert arguments("--diff") == ["diff", "--app", "assembly", "--all"]
    assert arguments("--destroy", "--yes") == ["destroy", "--app", "assembly", "--all", "--force"]


def test_template_parameters_are_passed_on() -> None:
    given = arguments("--parameter", "ModelPatienceSeconds=5", "--yes")
    assert given[-4:] == ["--parameters", "ModelPatienceSeconds=5", "--require-approval", "never"]


def test_the_cli_is_pinned_to_an_exact_version() -> None:
    assert deploy.CDK_CLI.partition("@")[2].count(".") == 2


class FakeSession:
    region_name: str | None = "eu-west-1"

    def __init__(self, **_named: object) -> None: ...

    def client(self, _name: str) -> "FakeSession":
        return self

    def get_caller_identity(self) -> dict[str, str]:
        raise botocore.exceptions.NoCredentialsError


def test_without_credentials_nothing_is_deployed_and_the_way_out_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(boto3, "Session", FakeSession)
    assert deploy.main([]) == 1
    assert "aws sso login" in capsys.readouterr().err


def test_without_a_region_the_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "Session", FakeSession)
    monkeypatch.setattr(FakeSession, "region_name", None)
    with pytest.raises(deploy.DeployError, match="AWS_REGION"):
        deploy.find_target()


class FakeSsm:
    class exceptions:
        class ParameterNotFound(Exception): ...

    def get_parameter(self, **_named: object) -> None:
        raise self.exceptions.ParameterNotFound


def test_a_region_without_bootstrap_gets_the_exact_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boto3, "client", lambda _name, **_named: FakeSsm())
    with pytest.raises(deploy.DeployError, match="make deploy ARGS=--bootstrap"):
        deploy.ensure_bootstrapped(TARGET, bootstrap=False)


def test_bootstrap_happens_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def cli(arguments: list[str], _target: deploy.Target) -> int:
        asked.append(arguments)
        return 0

    monkeypatch.setattr(boto3, "client", lambda _name, **_named: FakeSsm())
    monkeypatch.setattr(deploy, "run_cli", cli)
    deploy.ensure_bootstrapped(TARGET, bootstrap=True)
    assert asked == [["bootstrap", "aws://123456789012/eu-west-1"]]
