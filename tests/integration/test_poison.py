"""A message that always dies: five receives, the dead-letter queue, its consumer, and an end that its caller can read.

The functions' own handlers, on DynamoDB and SQS as moto plays them. The queue redrives as the deployed one does; that
one hides a message for minutes before it comes back, so on the local stack this would take a quarter of an hour.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from functions.api import current
from functions.deliverer import handler as deliverer
from functions.dispatcher import handler as dispatcher
from functions.sweeper import handler as sweeper
from ratchet import Agent
from ratchet.adapters import aws
from ratchet.adapters.dynamodb import DynamoDbCheckpoints
from ratchet.adapters.payloads import S3Payloads
from ratchet.adapters.sqs import SqsInbox
from ratchet.app.dead_letters import DeadLetters
from ratchet.app.missed_runs import MissedRuns
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import QUEUE_RECEIVES
from ratchet.contracts.messages import StepOutput
from ratchet.testing.chat import says
from ratchet.testing.workflow import InMemoryWorkflow
from tests.api_wiring import wired
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import DynamoDbBench
from tests.envelopes import LambdaContext, envelope
from tests.unit.functions.test_api import call
from tests.unit.shared.app.world import World

AGENT = Agent("helper", "Help.", policy="react")
CONTEXT = LambdaContext()


class Poisoned(InMemoryWorkflow):
    """A state machine whose start meets a bug for some tasks: what kills the handler is in the message's own task."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: set[str] = set()
        self.is_down = False

    def start(self, first: StepOutput) -> str | None:
        if self.is_down:
            raise StoreUnavailable("throttled")
        if first.task.task_id in self.bad:
            raise KeyError("no such route")
        return super().start(first)


class Queues:
    """Inbox and outbox with their dead letters, and the pollers that feed the functions."""

    def __init__(self) -> None:
        self.sqs = aws.client("sqs")
        self.dead = self._create("dead")
        arn = self.sqs.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])
        dead_arn = arn["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": QUEUE_RECEIVES})
        self.inbox = self._create("inbox", RedrivePolicy=policy, VisibilityTimeout="0")
        self.outbox = self._create("outbox")
        self.received = 0

    def poll(self, url: str, handler: Any) -> int:
        """One batch through a function, as Lambda's poller does; how many messages came."""
        found = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        ).get("Messages", [])
        if not found:
            return 0
        [record] = envelope("deliverer/batch")["Records"][:1]
        records = [
            {
                **record,
                "messageId": message["MessageId"],
                "body": message["Body"],
                "attributes": message["Attributes"],
            }
            for message in found
        ]
        answer = handler.lambda_handler({"Records": records}, CONTEXT)
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for message in found:
            if message["MessageId"] not in failed:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return len(found)

    def _create(self, name: str, **attributes: Any) -> str:
        return self.sqs.create_queue(QueueName=name, Attributes=cast("Any", attributes))["QueueUrl"]


class Deployment:
    """The handlers on a store and queues of moto."""

    def __init__(self, bench: DynamoDbBench, patch: pytest.MonkeyPatch) -> None:
        payloads = S3Payloads(lambda: bench.s3, bench.bucket)
        store = DynamoDbCheckpoints(
            bench.client, table=bench.table, payloads=payloads, clock=bench.clock
        )
        self.world = world = World(AGENT, chat=[says("Done.")] * 9, kept=(store, bench.clock))
        self.queues = queues = Queues()
        self.workflow = Poisoned()
        inbox, outbox = SqsInbox(queues.sqs, queues.inbox), SqsInbox(queues.sqs, queues.outbox)
        world.submit = replace(world.submit, inbox=inbox)
        world.resume = replace(world.resume, inbox=inbox)
        dispatch = replace(world.dispatch, workflow=self.workflow)
        letters = DeadLetters(store, dispatch, outbox, bench.clock)
        patch.setattr(dispatcher, "dispatch_task", lambda: dispatch)
        patch.setattr(deliverer, "announce_task", lambda: world.announce)
        missed = MissedRuns(world.schedules.store)
        patch.setattr(sweeper, "dead_letters", lambda: letters)
        patch.setattr(sweeper, "missed_runs", lambda: missed)
        use_cases = wired(world)
        patch.setattr(current, "wiring", lambda: use_cases)

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One API request."""
        event = envelope("api/submit")
        event["rawPath"] = event["requestContext"]["http"]["path"] = path
        event["requestContext"]["http"]["method"] = method
        event["queryStringParameters"] = {}
        event["headers"].pop("idempotency-key", None)
        event["body"] = None if body is None else json.dumps(body)
        status, answer, _ = call(event)
        return status, answer

    def submit(self, goal: str, *, is_poison: bool = False) -> str:
        """A task in the inbox."""
        status, answer = self.request("POST", "/v1/tasks", {"goal": goal})
        assert status == 202, answer
        task_id: str = answer["task_id"]
        if is_poison:
            self.workflow.bad.add(task_id)
        return task_id

    def drain(self) -> int:
        """Let the dispatcher receive until the inbox is empty; how often it did."""
        times = 0
        while self.queues.poll(self.queues.inbox, dispatcher):
            times += 1
            assert times <= 3 * QUEUE_RECEIVES
        return times


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    with mocked_aws():
        bench = DynamoDbBench()
        yield Deployment(bench, monkeypatch)
        bench.close()


def test_a_message_that_always_dies_ends_its_task_as_poison_where_its_caller_looks(
    deployment: Deployment,
) -> None:
    bad, good = deployment.submit("Kill.", is_poison=True), deployment.submit("Help.")
    assert deployment.drain() == QUEUE_RECEIVES
    assert len(deployment.workflow.executions) == 1, "the one beside it was started all the same"
    assert deployment.request("GET", f"/v1/tasks/{bad}")[1]["status"] == "queued"
    assert deployment.queues.poll(deployment.queues.dead, sweeper) == 1
    status, task = deployment.request("GET", f"/v1/tasks/{bad}")
    assert (status, task["status"]) == (200, "failed")
    assert task["error"]["code"] == "poison"
    assert "KeyError" in task["error"]["message"]
    assert "no such route" not in task["error"]["message"]
    assert deployment.request("GET", f"/v1/tasks/{good}")[1]["status"] == "running"
    assert deployment.queues.poll(deployment.queues.outbox, deliverer) == 1
    [event] = deployment.world.sns.delivered
    assert event.type == "task.failed"
    assert json.loads(event.body)["data"]["error"]["code"] == "poison"


def test_what_ended_as_poison_goes_on_once_the_cause_is_mended(deployment: Deployment) -> None:
    bad = deployment.submit("Kill.", is_poison=True)
    deployment.drain()
    deployment.queues.poll(deployment.queues.dead, sweeper)
    deployment.workflow.bad.clear()
    status, task = deployment.request("POST", f"/v1/tasks/{bad}/resume")
    assert (status, task["status"]) == (200, "queued")
    assert deployment.drain() == 1
    assert deployment.request("GET", f"/v1/tasks/{bad}")[1]["status"] == "running"


def test_an_outage_that_lasts_longer_than_the_queue_tries_ends_no_task(
    deployment: Deployment,
) -> None:
    """SQS counts the receives of all queues: a dead letter arrives with those of its own queue, and is tried again."""
    task_id = deployment.submit("Help.")
    deployment.workflow.is_down = True
    assert deployment.drain() == QUEUE_RECEIVES
    assert deployment.queues.poll(deployment.queues.dead, sweeper) == 1
    assert deployment.request("GET", f"/v1/tasks/{task_id}")[1]["status"] == "queued"
    assert deployment.queues.poll(deployment.queues.dead, sweeper) == 0, "the sweeper rings again"
