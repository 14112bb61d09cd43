import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError

from ratchet.local.errors import LocalStackError
from ratchet.local.stack import LocalStack
from tests.integration.local.builder import STACK, Assembly, att, join
from tests.integration.local.waiting import eventually

HANDLERS = """
    import os, time

    def touch(event, context):
        print("ran for", event["of"])

    def slow(event, context):
        while not os.path.exists(os.environ["RELEASE"]):
            time.sleep(0.02)
        return {"late": True}
"""


@pytest.fixture
def assembly(tmp_path: Path) -> Assembly:
    return Assembly(tmp_path / "cdk.out")


def test_concurrent_updates_are_not_lost(assembly: Assembly) -> None:
    assembly.add(
        "Table",
        "AWS::DynamoDB::Table",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assembly.output("Table", {"Ref": "Table"})
    with LocalStack.start(assembly.write(HANDLERS), stack_name=STACK) as stack:
        dynamodb, key = stack.client("dynamodb"), {"pk": {"S": "a"}}

        def add(_: int) -> None:
            dynamodb.update_item(
                TableName=stack.outputs["Table"],
                Key=key,
                UpdateExpression="ADD n :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(add, range(160)))
        item = dynamodb.get_item(TableName=stack.outputs["Table"], Key=key)["Item"]
    assert item["n"] == {"N": "160"}


def test_a_run_does_not_outlive_its_stack(assembly: Assembly) -> None:
    touch = assembly.function("Touch", "handlers.touch")
    states = {
        "Nap": {"Type": "Wait", "Seconds": 1, "Next": "Touch"},
        "Touch": {"Type": "Task", "Resource": "FUNCTION", "End": True},
    }
    before, after = json.dumps({"StartAt": "Nap", "States": states}).split("FUNCTION")
    assembly.machine("Machine", join(before, touch, after))
    assembly.output("Machine", {"Ref": "Machine"})
    folder = assembly.write(HANDLERS)

    def start(stack: LocalStack, of: str) -> None:
        stack.client("stepfunctions").start_execution(
            stateMachineArn=stack.outputs["Machine"], input=json.dumps({"of": of})
        )

    with LocalStack.start(folder, stack_name=STACK) as stack:
        start(stack, "the first")
    with LocalStack.start(folder, stack_name=STACK) as stack:
        start(stack, "the second")
        # The first run would have ended its nap before the second.
        assert eventually(lambda: stack.log_lines("Touch")) == ["ran for the second"]


def test_the_port_can_be_chosen_and_is_free_again_after_close(assembly: Assembly) -> None:
    assembly.add("Queue", "AWS::SQS::Queue")
    folder = assembly.write(HANDLERS)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    for _ in range(2):
        with LocalStack.start(folder, stack_name=STACK, port=port) as stack:
            assert stack.endpoint_url == f"http://127.0.0.1:{port}"


def test_a_taken_port_is_a_clear_error(assembly: Assembly) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LocalStackError, match=f"port {port} cannot be used"):
            LocalStack.start(assembly.write(HANDLERS), stack_name=STACK, port=port)
    LocalStack.start(assembly.write(HANDLERS), stack_name=STACK).close()


@pytest.mark.parametrize(("service", "call"), [("lambda", "list_functions")])
def test_what_nobody_plays_is_refused_loudly(assembly: Assembly, service: str, call: str) -> None:
    assembly.add("Queue", "AWS::SQS::Queue")
    with (
        LocalStack.start(assembly.write(HANDLERS), stack_name=STACK) as stack,
        pytest.raises(ClientError, match="501"),
    ):
        getattr(stack.client(service), call)()


def test_an_integration_that_is_outlasted_is_unavailable(
    assembly: Assembly, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    variables = {"RELEASE": str(release)}
    slow = assembly.function("Slow", "handlers.slow", Environment={"Variables": variables})
    for api in ("First", "Second"):
        assembly.add(api, "AWS::ApiGatewayV2::Api", Name=api, ProtocolType="HTTP")
        assembly.add(
            f"{api}Integration",
            "AWS::ApiGatewayV2::Integration",
            ApiId={"Ref": api},
            IntegrationType="AWS_PROXY",
            IntegrationUri=slow,
            PayloadFormatVersion="2.0",
            TimeoutInMillis=100,
        )
        target = join("integrations/", {"Ref": f"{api}Integration"})
        properties = {"RouteKey": "$default", "Target": target}
        assembly.add(f"{api}Route", "AWS::ApiGatewayV2::Route", ApiId={"Ref": api}, **properties)
        assembly.output(api, att(api, "ApiEndpoint"))
    with LocalStack.start(assembly.write(HANDLERS), stack_name=STACK) as stack:
        for api in ("First", "Second"):
            with pytest.raises(HTTPError) as refused:
                urlopen(f"{stack.outputs[api]}/x", timeout=30)
            with refused.value as error:
                assert error.code == 503
        assert stack.outputs["First"] == stack.endpoint_url
        assert stack.outputs["Second"].startswith(f"{stack.endpoint_url}/_aws/execute-api/")
        release.touch()


def test_a_presigned_address_reaches_the_object(assembly: Assembly) -> None:
    assembly.add("Bucket", "AWS::S3::Bucket")
    assembly.output("Bucket", {"Ref": "Bucket"})
    with LocalStack.start(assembly.write(HANDLERS), stack_name=STACK) as stack:
        s3, item = stack.client("s3"), {"Bucket": stack.outputs["Bucket"], "Key": "k"}
        s3.put_object(**item, Body=b"body")
        with urlopen(s3.generate_presigned_url("get_object", Params=item), timeout=30) as reply:
            assert reply.read() == b"body"


def test_a_dead_web_subscriber_does_not_fail_publish(assembly: Assembly) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        dead = f"http://127.0.0.1:{probe.getsockname()[1]}/"
    assembly.add("Topic", "AWS::SNS::Topic")
    assembly.add(
        "Hook",
        "AWS::SNS::Subscription",
        TopicArn={"Ref": "Topic"},
        Protocol="http",
        Endpoint=dead,
    )
    assembly.output("Topic", {"Ref": "Topic"})
    with LocalStack.start(assembly.write(HANDLERS), stack_name=STACK) as stack:
        sent = stack.client("sns").publish(TopicArn=stack.outputs["Topic"], Message="x")
    assert sent["MessageId"]
