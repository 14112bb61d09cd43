import json
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from ratchet.local.errors import LocalStackError
from ratchet.local.stack import LocalStack
from ratchet.local.storage.journal import Journal
from tests.integration.local.builder import STACK, Assembly

KEYS = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.fixture
def cdk_out(tmp_path: Path) -> Path:
    assembly = Assembly(tmp_path / "cdk.out")
    assembly.add("Table", "AWS::DynamoDB::Table", **KEYS)
    assembly.add("Bucket", "AWS::S3::Bucket")
    template = {"SecretStringTemplate": '{"user":"u"}', "GenerateStringKey": "password"}
    assembly.add("Secret", "AWS::SecretsManager::Secret", GenerateSecretString=template)
    assembly.add("Group", "AWS::Scheduler::ScheduleGroup")
    for name in ("Table", "Bucket", "Secret", "Group"):
        assembly.output(name, {"Ref": name})
    return assembly.write("")


class Store:
    """The journaled state of one stack."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack
        self.table = stack.outputs["Table"]
        self.bucket = stack.outputs["Bucket"]

    def add(self, key: str, **more: str) -> None:
        self.stack.client("dynamodb").update_item(
            TableName=self.table,
            Key={"pk": {"S": key}},
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
            **more,
        )

    def count(self, key: str) -> str | None:
        reply = self.stack.client("dynamodb").get_item(TableName=self.table, Key={"pk": {"S": key}})
        return reply["Item"]["n"]["N"] if "Item" in reply else None

    def secret(self) -> str:
        reply = self.stack.client("secretsmanager").get_secret_value(
            SecretId=self.stack.outputs["Secret"]
        )
        value: str = reply["SecretString"]
        return value


def test_tables_objects_and_secrets_survive_a_restart(cdk_out: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with LocalStack.start(cdk_out, stack_name=STACK, state_dir=state) as stack:
        store = Store(stack)
        for _ in range(3):
            store.add("a")
        with pytest.raises(ClientError, match="ConditionalCheckFailed"):
            store.add("a", ConditionExpression="attribute_not_exists(pk)")
        s3 = stack.client("s3")
        for key in ("kept one", "gone", "gone too"):
            s3.put_object(Bucket=store.bucket, Key=key, Body=b"\x00\xff", Metadata={"m": "1"})
        s3.delete_object(Bucket=store.bucket, Key="gone")
        s3.delete_objects(Bucket=store.bucket, Delete={"Objects": [{"Key": "gone too"}]})
        secret = store.secret()
        stack.client("secretsmanager").create_secret(Name="own", SecretString="first")
        stack.client("secretsmanager").put_secret_value(SecretId="own", SecretString="second")
    assert json.loads(secret)["user"] == "u"
    for _ in range(2):  # the second time from the snapshot alone
        with LocalStack.start(cdk_out, stack_name=STACK, state_dir=state) as stack:
            store = Store(stack)
            assert store.count("a") == "3"
            s3 = stack.client("s3")
            listed = s3.list_objects_v2(Bucket=store.bucket)["Contents"]
            assert [entry["Key"] for entry in listed] == ["kept one"]
            kept = s3.get_object(Bucket=store.bucket, Key="kept one")
            assert (kept["Body"].read(), kept["Metadata"]) == (b"\x00\xff", {"m": "1"})
            assert store.secret() == secret
            own = stack.client("secretsmanager").get_secret_value(SecretId="own")
            assert own["SecretString"] == "second"


def test_binary_attributes_survive_every_restart(cdk_out: Path, tmp_path: Path) -> None:
    body = {"B": b"\x00\xff"}
    item = {"pk": {"S": "a"}, "body": body, "deep": {"M": {"list": {"L": [body]}}}}
    with LocalStack.start(cdk_out, stack_name=STACK, state_dir=tmp_path) as stack:
        stack.client("dynamodb").put_item(TableName=stack.outputs["Table"], Item=item)
    for _ in range(2):  # the second time from the snapshot alone
        with LocalStack.start(cdk_out, stack_name=STACK, state_dir=tmp_path) as stack:
            reply = stack.client("dynamodb").get_item(
                TableName=stack.outputs["Table"], Key={"pk": {"S": "a"}}
            )
            assert reply["Item"] == item


def test_a_torn_last_line_is_dropped(cdk_out: Path, tmp_path: Path) -> None:
    with LocalStack.start(cdk_out, stack_name=STACK, state_dir=tmp_path) as stack:
        Store(stack).add("a")
    with (tmp_path / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"service":"dynamodb","tar')
    with LocalStack.start(cdk_out, stack_name=STACK, state_dir=tmp_path) as stack:
        assert Store(stack).count("a") == "1"
        Store(stack).add("b")
    with LocalStack.start(cdk_out, stack_name=STACK, state_dir=tmp_path) as stack:
        assert Store(stack).count("b") == "1"


def test_a_damaged_line_is_named(cdk_out: Path, tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_bytes(b'nonsense\n{"service":"s3"}\n')
    with pytest.raises(LocalStackError, match=r"journal.jsonl:1 is damaged"):
        LocalStack.start(cdk_out, stack_name=STACK, state_dir=tmp_path)


def test_a_journal_of_another_template_is_refused(cdk_out: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with LocalStack.start(cdk_out, stack_name=STACK, state_dir=state) as stack:
        Store(stack).add("a")
    other = Assembly(tmp_path / "other")
    other.add("Bucket", "AWS::S3::Bucket")
    with pytest.raises(LocalStackError, match="cannot be replayed"):
        LocalStack.start(other.write(""), stack_name=STACK, state_dir=state)


def test_two_stacks_cannot_share_a_state_directory(cdk_out: Path, tmp_path: Path) -> None:
    with (
        LocalStack.start(cdk_out, stack_name=STACK, state_dir=tmp_path),
        pytest.raises(LocalStackError, match="another local stack uses"),
    ):
        LocalStack.start(cdk_out, stack_name=STACK, state_dir=tmp_path)


def test_what_cannot_be_a_state_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalStackError, match="file cannot keep the state"):
        Journal(tmp_path / "file")


def test_a_write_that_cannot_be_replayed_is_refused(cdk_out: Path, tmp_path: Path) -> None:
    with LocalStack.start(cdk_out, stack_name=STACK, state_dir=tmp_path) as stack:
        bucket = stack.outputs["Bucket"]
        with pytest.raises(ClientError, match="501"):
            stack.client("s3").create_multipart_upload(Bucket=bucket, Key="k")


WRITER = """
    import os, signal, sys
    from pathlib import Path
    from ratchet.local.stack import LocalStack
    stack = LocalStack.start(Path(sys.argv[1]), stack_name="Small", state_dir=Path(sys.argv[2]))
    stack.client("dynamodb").put_item(
        TableName=stack.outputs["Table"], Item={"pk": {"S": "a"}, "n": {"N": "7"}})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_answered_write_survives_kill_9(cdk_out: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(cdk_out), str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == -9
    with LocalStack.start(cdk_out, stack_name=STACK, state_dir=tmp_path) as stack:
        assert Store(stack).count("a") == "7"


def an_hour_passes(journal: Path) -> None:
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    for record in records:
        if record["service"] == "scheduler" and record["body"] is not None:
            record["since"] -= 3600
            record["body"]["StartDate"] -= 3600
    journal.write_text("".join(f"{json.dumps(record)}\n" for record in records))


def test_schedules_outlive_the_stack_that_made_them_and_keep_their_age(
    cdk_out: Path, tmp_path: Path
) -> None:
    begin = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - moto takes no start that is long over
    wanted = {
        "ScheduleExpression": "cron(0 9 ? * MON *)",
        "ScheduleExpressionTimezone": "Europe/Berlin",
        "StartDate": begin,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": {"Arn": "arn:aws:lambda:us-east-1:123456789012:function:f", "RoleArn": "r"},
    }
    for hours, left in enumerate((["one", "two"], ["two"], ["two"])):
        with LocalStack.start(cdk_out, stack_name=STACK, state_dir=tmp_path / "state") as stack:
            client, group = stack.client("scheduler"), stack.outputs["Group"]
            if len(left) == 2:
                for name in left:
                    client.create_schedule(GroupName=group, Name=name, **wanted)
            kept = client.list_schedules(GroupName=group)["Schedules"]
            assert {s["Name"] for s in kept} >= set(left)
            shown = client.get_schedule(GroupName=group, Name="two")
            assert shown["ScheduleExpression"] == wanted["ScheduleExpression"]
            assert shown["ScheduleExpressionTimezone"] == "Europe/Berlin"
            assert shown["StartDate"] == begin - timedelta(hours=hours)
            age = begin - shown["CreationDate"]
            assert round(age / timedelta(hours=1)) == hours
            if "one" in {s["Name"] for s in kept} and len(left) == 1:
                client.delete_schedule(GroupName=group, Name="one")
            names = {s["Name"] for s in client.list_schedules(GroupName=group)["Schedules"]}
            assert names == set(left)
        an_hour_passes(tmp_path / "state" / "journal.jsonl")


def test_a_schedule_that_eventbridge_would_refuse_is_refused(cdk_out: Path) -> None:
    wanted = {"FlexibleTimeWindow": {"Mode": "OFF"}, "Target": {"Arn": "a", "RoleArn": "r"}}
    with LocalStack.start(cdk_out, stack_name=STACK) as stack:
        client, group = stack.client("scheduler"), stack.outputs["Group"]
        for changes in (
            {"ScheduleExpression": "rate(5 seconds)"},
            {"ScheduleExpression": "rate(5 minutes)", "ScheduleExpressionTimezone": "Mars"},
        ):
            with pytest.raises(client.exceptions.ValidationException):
                client.create_schedule(GroupName=group, Name="one", **wanted, **changes)
        assert client.list_schedules(GroupName=group)["Schedules"] == []
