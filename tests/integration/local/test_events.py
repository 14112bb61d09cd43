import json
from collections.abc import Iterator
from typing import Any

import pytest

from ratchet.local.stack import LocalStack, Timing
from tests.integration.local.builder import STACK, Assembly, att
from tests.integration.local.waiting import eventually

HANDLERS = """
    import json

    def consume(event, context):
        bodies = [json.loads(r["body"]) for r in event["Records"]]
        print(json.dumps({"batch": bodies}))
        failed = [r["messageId"] for r in event["Records"] if json.loads(r["body"]) == "poison"]
        return {"batchItemFailures": [{"itemIdentifier": i} for i in failed]}

    def crash(event, context):
        for record in event["Records"]:
            print("saw", record["body"])
        raise ValueError("whole batch")

    def listen(event, context):
        print(json.dumps(event))
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    assembly = Assembly(tmp_path_factory.mktemp("cdk.out"))
    for name, handler in (("Jobs", "consume"), ("Bad", "crash")):
        assembly.add(f"{name}Dead", "AWS::SQS::Queue")
        assembly.add(
            f"{name}Queue",
            "AWS::SQS::Queue",
            VisibilityTimeout=1,
            RedrivePolicy={"deadLetterTargetArn": att(f"{name}Dead", "Arn"), "maxReceiveCount": 2},
        )
        assembly.function(f"{name}Fn", f"handlers.{handler}")
        assembly.add(
            f"{name}Mapping",
            "AWS::Lambda::EventSourceMapping",
            EventSourceArn=att(f"{name}Queue", "Arn"),
            FunctionName={"Ref": f"{name}Fn"},
            BatchSize=10,
            FunctionResponseTypes=["ReportBatchItemFailures"],
            ScalingConfig={"MaximumConcurrency": 2},
        )
        assembly.output(name, {"Ref": f"{name}Queue"})
        assembly.output(f"{name}Dead", {"Ref": f"{name}Dead"})
    _rules(assembly)
    timing = Timing(minute_seconds=0.25)
    with LocalStack.start(assembly.write(HANDLERS), stack_name=STACK, timing=timing) as running:
        yield running


def _rules(assembly: Assembly) -> None:
    for name in ("Tick", "Ended", "Custom", "Notified"):
        assembly.function(name, "handlers.listen")
    states = {"Nap": {"Type": "Wait", "Seconds": 600, "End": True}}
    assembly.machine("Machine", {"StartAt": "Nap", "States": states})
    assembly.output("Machine", {"Ref": "Machine"})

    def target(name: str, **properties: Any) -> list[Any]:
        return [{"Id": "t", "Arn": att(name, "Arn"), **properties}]

    kind = "AWS::Events::Rule"
    every = {"ScheduleExpression": "rate(1 minute)"}
    assembly.add("EveryMinute", kind, **every, Targets=target("Tick", Input='{"sweep":true}'))
    assembly.add("Off", kind, **every, State="DISABLED", Targets=target("Ended"))
    ended = {
        "source": ["aws.states"],
        "detail": {
            "stateMachineArn": [{"Ref": "Machine"}],
            "status": ["ABORTED", "FAILED", "TIMED_OUT"],
        },
    }
    assembly.add("OnEnd", kind, EventPattern=ended, Targets=target("Ended"))
    custom = {"source": ["my.app"], "detail-type": ["Hello"]}
    assembly.add("OnCustom", kind, EventPattern=custom, Targets=target("Custom"))
    assembly.add("Topic", "AWS::SNS::Topic")
    assembly.add("Inbox", "AWS::SQS::Queue")
    subscription = {"TopicArn": {"Ref": "Topic"}, "FilterPolicy": {"kind": ["good"]}}
    assembly.add(
        "ToFunction",
        "AWS::SNS::Subscription",
        Protocol="lambda",
        Endpoint=att("Notified", "Arn"),
        **subscription,
    )
    assembly.add(
        "ToQueue",
        "AWS::SNS::Subscription",
        Protocol="sqs",
        Endpoint=att("Inbox", "Arn"),
        RawMessageDelivery=True,
        **subscription,
    )
    assembly.output("Topic", {"Ref": "Topic"})
    assembly.output("Inbox", {"Ref": "Inbox"})


def _send(stack: LocalStack, queue: str, *bodies: str) -> None:
    entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)]
    stack.client("sqs").send_message_batch(QueueUrl=stack.outputs[queue], Entries=entries)


def _receive(stack: LocalStack, queue: str) -> list[str]:
    reply = stack.client("sqs").receive_message(
        QueueUrl=stack.outputs[queue], MaxNumberOfMessages=10, WaitTimeSeconds=1
    )
    return [message["Body"] for message in reply.get("Messages", [])]


def _is_drained(stack: LocalStack, queue: str) -> bool:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    reply = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.outputs[queue], AttributeNames=names
    )
    return all(reply["Attributes"][name] == "0" for name in names)


def test_a_failed_item_goes_to_the_dead_letter_queue_and_the_others_are_done_once(
    stack: LocalStack,
) -> None:
    _send(stack, "Jobs", '"one"', '"poison"', '"two"')
    assert eventually(lambda: _receive(stack, "JobsDead")) == ['"poison"']
    assert eventually(lambda: _is_drained(stack, "Jobs"))
    lines = [json.loads(line) for line in stack.log_lines("JobsFn")]
    seen = [body for line in lines for body in line["batch"]]
    assert sorted(seen) == ["one", "poison", "poison", "two"]


def test_a_failed_batch_is_delivered_again_and_then_dead_lettered(stack: LocalStack) -> None:
    _send(stack, "Bad", '"x"')
    assert eventually(lambda: _receive(stack, "BadDead")) == ['"x"']
    assert sum('saw "x"' in line for line in stack.log_lines("BadFn")) == 2


def test_a_schedule_rule_fires_again_and_again(stack: LocalStack) -> None:
    eventually(lambda: stack.log_lines("Tick").count('{"sweep": true}') >= 2)


def test_an_execution_that_ends_is_announced_to_the_matching_rule(stack: LocalStack) -> None:
    states = stack.client("stepfunctions")
    run = states.start_execution(stateMachineArn=stack.outputs["Machine"], input='{"id":1}')
    states.stop_execution(executionArn=run["executionArn"], error="Cancelled", cause="by hand")
    [line] = eventually(lambda: stack.log_lines("Ended"))
    event = json.loads(line)
    assert event["detail-type"] == "Step Functions Execution Status Change"
    assert event["detail"]["status"] == "ABORTED"
    assert event["detail"]["error"] == "Cancelled"
    assert event["detail"]["executionArn"] == run["executionArn"]
    assert json.loads(event["detail"]["input"]) == {"id": 1}


def test_put_events_reaches_the_rules(stack: LocalStack) -> None:
    entry = {"Source": "my.app", "DetailType": "Hello", "Detail": '{"a": 1}'}
    other = {"Source": "other.app", "DetailType": "Hello", "Detail": "{}"}
    stack.client("events").put_events(Entries=[other, entry])
    [line] = eventually(lambda: stack.log_lines("Custom"))
    assert json.loads(line)["detail"] == {"a": 1}


def test_a_topic_reaches_functions_and_queues_through_its_filter(stack: LocalStack) -> None:
    for kind in ("bad", "good"):
        stack.client("sns").publish(
            TopicArn=stack.outputs["Topic"],
            Message=kind,
            MessageAttributes={"kind": {"DataType": "String", "StringValue": kind}},
        )
    assert eventually(lambda: _receive(stack, "Inbox")) == ["good"]
    [line] = eventually(lambda: stack.log_lines("Notified"))
    notification = json.loads(line)["Records"][0]["Sns"]
    assert notification["Message"] == "good"
    assert notification["MessageAttributes"]["kind"] == {"Type": "String", "Value": "good"}
