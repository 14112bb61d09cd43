"""The doorbell, on the twin and on SQS."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from ratchet.adapters import aws
from ratchet.adapters.sqs import SqsInbox
from ratchet.admission_ports import Gauge
from ratchet.contracts.errors import ServiceRefused
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.ports import Inbox
from ratchet.testing.queue import InMemoryInbox
from tests.contract.moto_aws import mocked_aws

BELL = Doorbell(TaskRef("acme", "task_00000000000000000000000001"), generation=3)
Receive = Callable[[], Doorbell | None]


@pytest.fixture(scope="module")
def sqs() -> Iterator[Any]:
    with mocked_aws():
        yield aws.client("sqs")


@pytest.fixture(params=["memory", "sqs"])
def inbox(request: pytest.FixtureRequest) -> tuple[Inbox, Receive]:
    if request.param == "memory":
        memory = InMemoryInbox()
        return memory, memory.receive
    sqs = request.getfixturevalue("sqs")
    url = sqs.create_queue(QueueName=f"inbox-{len(sqs.list_queues().get('QueueUrls', []))}")[
        "QueueUrl"
    ]

    def receive() -> Doorbell | None:
        messages = sqs.receive_message(QueueUrl=url).get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return Doorbell.from_json(message["Body"])
        return None

    return SqsInbox(sqs, url), receive


def test_what_is_sent_is_received_once_each(inbox: tuple[Inbox, Receive]) -> None:
    queue, receive = inbox
    queue.send(BELL)
    queue.send(BELL)
    assert [receive(), receive(), receive()] == [BELL, BELL, None]


def test_messages_of_several_tenants_all_arrive(inbox: tuple[Inbox, Receive]) -> None:
    queue, receive = inbox
    tenants = ("acme", "a:b@c-e_f.g", "1")
    sent = {Doorbell(TaskRef(tenant, BELL.task.task_id)) for tenant in tenants}
    for bell in sent:
        queue.send(bell)
    assert {receive() for _ in range(3)} == sent


def test_the_message_group_is_the_tenant(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="groups")["QueueUrl"]
    SqsInbox(sqs, url).send(BELL)
    (message,) = sqs.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
    assert message["Attributes"]["MessageGroupId"] == "acme"


def test_a_queue_that_is_not_there_is_refused_for_good(sqs: Any) -> None:
    missing = SqsInbox(sqs, "https://sqs.us-east-1.amazonaws.com/123456789012/missing")
    with pytest.raises(ServiceRefused):
        missing.send(BELL)


def test_the_twin_says_how_many_wait() -> None:
    inbox = InMemoryInbox()
    inbox.send(BELL)
    assert len(inbox) == 1


def test_a_queue_says_how_many_messages_wait(inbox: tuple[Inbox, Receive]) -> None:
    queue, _ = inbox
    gauge = cast("Gauge", queue)
    assert gauge.depth() == 0
    for _ in range(3):
        queue.send(BELL)
    assert gauge.depth() == 3


def test_the_tenant_is_the_message_group_on_a_standard_queue(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="fair")["QueueUrl"]
    SqsInbox(sqs, url).send(BELL)
    (message,) = sqs.receive_message(QueueUrl=url, AttributeNames=["MessageGroupId"])["Messages"]
    assert message["Attributes"]["MessageGroupId"] == "acme"
