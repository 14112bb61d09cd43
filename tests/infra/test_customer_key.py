"""The customer's own key: on everything that is kept where the context asks for it, and nowhere by default."""

import json
from typing import Any

import pytest

from tests.infra.template import Synthesized, listed

KEY_PROPERTY = {
    "AWS::SQS::Queue": "KmsMasterKeyId",
    "AWS::SNS::Topic": "KmsMasterKeyId",
    "AWS::Logs::LogGroup": "KmsKeyId",
    "AWS::SecretsManager::Secret": "KmsKeyId",
}
# What a role must be allowed to do with the key to do the other thing with something encrypted.
NEEDS = {
    "sqs:SendMessage": {"kms:Decrypt", "kms:GenerateDataKey"},
    "sqs:ReceiveMessage": {"kms:Decrypt"},
    "sns:Publish": {"kms:Decrypt", "kms:GenerateDataKey"},
    "dynamodb:GetItem": {"kms:Decrypt"},
    "s3:GetObject": {"kms:Decrypt"},
    "s3:PutObject": {"kms:GenerateDataKey"},
}


def key_arn(template: Synthesized) -> dict[str, Any]:
    (name,) = template.of_type("AWS::KMS::Key")
    return {"Fn::GetAtt": [name, "Arn"]}


def key_policy(template: Synthesized) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = template.only("AWS::KMS::Key")["KeyPolicy"]["Statement"]
    return statements


def test_by_default_there_is_no_key_and_nobody_is_allowed_one(default: Synthesized) -> None:
    assert default.of_type("AWS::KMS::Key") == {}
    text = json.dumps(default.document)
    assert "kms:" not in text
    assert not any(name in text for name in set(KEY_PROPERTY.values()))
    for queue in default.of_type("AWS::SQS::Queue").values():
        assert queue["SqsManagedSseEnabled"] is True


def test_a_customer_key_covers_the_table_and_the_payloads(other: Synthesized) -> None:
    assert other.only("AWS::KMS::Key")["EnableKeyRotation"] is True
    key = key_arn(other)
    table = other.only("AWS::DynamoDB::Table")["SSESpecification"]
    assert (table["SSEType"], table["KMSMasterKeyId"]) == ("KMS", key)
    (rule,) = other.only("AWS::S3::Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": key,
    }


@pytest.mark.parametrize("kind", KEY_PROPERTY)
def test_it_covers_every_queue_topic_log_group_and_secret(other: Synthesized, kind: str) -> None:
    found = other.of_type(kind)
    assert found
    keys = {name: resource.get(KEY_PROPERTY[kind]) for name, resource in found.items()}
    assert keys == dict.fromkeys(found, key_arn(other))


def test_of_the_services_only_cloudwatch_logs_may_use_it_and_only_for_this_stacks_groups(
    other: Synthesized,
) -> None:
    (logs,) = [s for s in key_policy(other) if "Service" in s["Principal"]]
    region = {"Ref": "AWS::Region"}
    assert logs["Principal"] == {"Service": {"Fn::Join": ["", ["logs.", region, ".amazonaws.com"]]}}
    (operator,) = logs["Condition"]
    (condition, groups), *more = logs["Condition"][operator].items()
    assert (operator, condition, more) == ("ArnLike", "kms:EncryptionContext:aws:logs:arn", [])
    parts = groups["Fn::Join"][1]
    assert [p for p in parts if isinstance(p, dict)] == [
        {"Ref": "AWS::Partition"},
        region,
        {"Ref": "AWS::AccountId"},
    ]
    assert parts[-1] == ":log-group:Ratchet-test-*"
    assert not any(action in ("*", "kms:*") for action in logs["Action"])


def test_whom_else_the_key_policy_names_is_the_account_and_its_secrets_readers(
    other: Synthesized,
) -> None:
    readers = {
        other.role_of(name)
        for name in other.functions()
        if "GetSecretValue" in other.actions(name, "secretsmanager")
    }
    named = set()
    for statement in key_policy(other):
        assert statement["Effect"] == "Allow"
        assert statement["Principal"] != "*"
        for principal in listed(statement["Principal"].get("AWS", [])):
            if "Fn::GetAtt" in principal:
                named.add(principal["Fn::GetAtt"][0])
                via = statement["Condition"]["StringEquals"]["kms:ViaService"]["Fn::Join"][1]
                assert (statement["Action"], via[0]) == ("kms:Decrypt", "secretsmanager.")
            else:
                assert principal["Fn::Join"][1][-1] == ":root"
    assert named == readers


def test_who_touches_something_encrypted_may_use_the_key_for_it(other: Synthesized) -> None:
    checked = set()
    for role in other.of_type("AWS::IAM::Role"):
        statements = other.statements(role)
        actions = {a for s in statements for a in s["Action"]}
        of_key = {
            a.rstrip("*")
            for s in statements
            if key_arn(other) in s["Resource"]
            for a in s["Action"]
        }
        for action in actions & set(NEEDS):
            assert of_key >= NEEDS[action], (role, action)
            checked.add(action)
    assert checked == set(NEEDS)


def test_the_state_machine_uses_the_key_to_send_and_for_nothing_else(other: Synthesized) -> None:
    role = other.only("AWS::StepFunctions::StateMachine")["RoleArn"]["Fn::GetAtt"][0]
    (statement,) = [
        statement
        for policy in other.of_type("AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Roles"]
        for statement in policy["PolicyDocument"]["Statement"]
        if "kms:" in json.dumps(statement["Action"])
    ]
    assert set(statement["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}
    assert statement["Resource"] == key_arn(other)
    via = statement["Condition"]["StringEquals"]["kms:ViaService"]["Fn::Join"][1]
    assert via[0] == "sqs."
