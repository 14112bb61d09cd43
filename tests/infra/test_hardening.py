"""The security checklist (RELIABILITY 3b) as a table: each control, for each way to deploy."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.template import Synthesized, listed

ACKNOWLEDGED = "aws:cdk:acknowledged-rules"
SHORTEST_REASON = 30


@pytest.fixture(params=["default", "keyed", "tokens", "other"])
def template(request: pytest.FixtureRequest) -> Synthesized:
    synthesized: Synthesized = request.getfixturevalue(request.param)
    return synthesized


def told(template: Synthesized, kind: str) -> Iterator[tuple[str, Any]]:
    """What the assembly tells of its constructs, by their paths."""
    (path,) = template.out.glob("*.metadata.json")
    for construct, entries in json.loads(path.read_text(encoding="utf-8")).items():
        yield from ((construct, entry["data"]) for entry in entries if entry["type"] == kind)


def reasons(template: Synthesized) -> Iterator[tuple[str, str, str]]:
    """Path, rule and written reason of every finding that was accepted."""
    for construct, data in told(template, ACKNOWLEDGED):
        yield from ((construct, rule, text) for rule, text in data.items())


def plain(resource: Any) -> str:
    """A resource as cdk-nag writes it in the id of a finding."""
    if isinstance(resource, str):
        return resource
    ((function, value),) = resource.items()
    if function == "Fn::Join":
        return "".join(plain(part) for part in value[1])
    return f"<{value}>" if function == "Ref" else f"<{'.'.join(value)}>"


def test_every_function_has_a_role_of_its_own(template: Synthesized) -> None:
    roles = [template.role_of(name) for name in template.functions()]
    assert len(set(roles)) == len(roles)
    for role in roles:
        trusted = template.of_type("AWS::IAM::Role")[role]["AssumeRolePolicyDocument"]["Statement"]
        assert [s["Principal"] for s in trusted] == [{"Service": "lambda.amazonaws.com"}]


def test_every_wildcard_of_a_role_has_its_written_reason(template: Synthesized) -> None:
    given = list(reasons(template))
    paths = {name: construct for construct, name in told(template, "aws:cdk:logicalId")}
    seen = 0
    for role in template.of_type("AWS::IAM::Role"):
        construct = paths[role]
        accepted = {
            rule.partition("AwsSolutions-")[2]: text
            for path, rule, text in given
            if construct == path or construct.startswith(f"{path}/")
        }
        for statement in template.statements(role):
            wild = [f"IAM5[Action::{a}]" for a in statement["Action"] if "*" in a]
            texts = [plain(resource) for resource in statement["Resource"]]
            wild += [f"IAM5[Resource::{text}]" for text in texts if "*" in text]
            for finding in wild:
                assert len(accepted.get(finding, "")) >= SHORTEST_REASON, (construct, finding)
                seen += 1
    assert seen > 0


def test_what_is_accepted_is_accepted_with_a_reason(template: Synthesized) -> None:
    texts = [text for _path, _rule, text in reasons(template)]
    assert texts
    assert [text for text in texts if len(text) < SHORTEST_REASON] == []


def test_whoever_anyone_may_be_is_only_ever_refused(template: Synthesized) -> None:
    kinds = ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::S3::BucketPolicy")
    for kind in kinds:
        for policy in template.of_type(kind).values():
            for statement in policy["PolicyDocument"]["Statement"]:
                if statement["Principal"] in ("*", {"AWS": "*"}):
                    assert statement["Effect"] == "Deny"


def test_every_secret_is_generated_and_none_is_written_down(template: Synthesized) -> None:
    secrets = template.of_type("AWS::SecretsManager::Secret")
    assert secrets
    for name, secret in secrets.items():
        assert "GenerateSecretString" in secret, name
        assert "SecretString" not in secret, name
    # Nor is one put into the template's properties when it is deployed, but what CloudFront shows (test_web_front.py).
    rest = {
        name: resource
        for name, resource in template.document["Resources"].items()
        if resource["Type"] != "AWS::CloudFront::Distribution"
    }
    assert "{{resolve:" not in json.dumps(rest)


def test_an_environment_holds_the_names_of_secrets_and_never_their_values(
    template: Synthesized,
) -> None:
    secrets = set(template.of_type("AWS::SecretsManager::Secret"))
    named = set()
    for function in template.functions().values():
        for variable, value in function["Environment"]["Variables"].items():
            for part in _parts(value):
                if isinstance(part, dict) and part.get("Ref") in secrets:
                    named.add(part["Ref"])  # Ref is the ARN
                    assert variable.endswith("_SECRET_ARN") or variable == "RATCHET_PROVIDERS"
    assert named == secrets


def test_every_function_logs_where_a_retention_is_set(template: Synthesized) -> None:
    groups = template.of_type("AWS::Logs::LogGroup")
    assert all(group["RetentionInDays"] for group in groups.values())
    for function in template.of_type("AWS::Lambda::Function").values():
        assert function["LoggingConfig"]["LogGroup"]["Ref"] in groups
    stage = template.only("AWS::ApiGatewayV2::Stage")
    assert stage["AccessLogSettings"]["DestinationArn"]["Fn::GetAtt"][0] in groups
    machine = template.only("AWS::StepFunctions::StateMachine")["LoggingConfiguration"]
    (destination,) = machine["Destinations"]
    assert destination["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"][0] in groups
    assert machine["IncludeExecutionData"] is False


def _parts(value: Any) -> list[Any]:
    return listed(
        value["Fn::Join"][1] if isinstance(value, dict) and "Fn::Join" in value else value
    )
