"""What every `Announcer` does: the recording one, SNS (on moto, heard through a queue) and the webhook."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import boto3
import pytest
from moto import mock_aws

from ratchet.adapters.aws import client, forget_clients
from ratchet.adapters.sns import SnsAnnouncer
from ratchet.adapters.system import SystemClock
from ratchet.adapters.webhook import WebhookAnnouncer
from ratchet.contracts.errors import DeliveryFailed
from ratchet.domain.webhook_keys import WebhookKeys
from ratchet.ports import Announcer, Event
from ratchet.testing.announcers import RecordingAnnouncer
from ratchet.testing.receiver import Answer, WebhookReceiver

SECRET = "a secret of thirty-two bytes ..."
ATTRIBUTES = {"status": "succeeded", "agent": "finder", "tenant": "acme", "empty": ""}
BODY = json.dumps({"type": "task.succeeded", "data": {"text": "Brücke"}}).encode()
EVENT = Event("evt_1", "task.succeeded", BODY, ATTRIBUTES)


def secret_of(url: str) -> str:
    return WebhookKeys.parse(SECRET).secrets("acme", url, now_ms=0)[0]


@dataclass
class Way:
    """An announcer, where it delivers to, what arrived there, and how to break it."""

    announcer: Announcer
    target: str | None
    arrived: Callable[[], list[bytes]]
    break_down: Callable[[], None]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        forget_clients()
        yield
    forget_clients()


class Topic:
    """A topic with a queue that hears everything on it."""

    def __init__(self) -> None:
        self._sqs, self._sns = boto3.client("sqs"), boto3.client("sns")
        self._queue = self._sqs.create_queue(QueueName="heard")["QueueUrl"]
        self.arn = self._sns.create_topic(Name="events")["TopicArn"]
        self._sns.subscribe(
            TopicArn=self.arn,
            Protocol="sqs",
            Endpoint="arn:aws:sqs:eu-west-1:123456789012:heard",
            Attributes={"RawMessageDelivery": "true"},
        )

    def heard(self) -> list[dict[str, object]]:
        answer = self._sqs.receive_message(
            QueueUrl=self._queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return [dict(message) for message in answer.get("Messages", [])]

    def delete(self) -> None:
        self._sns.delete_topic(TopicArn=self.arn)


@pytest.fixture
def topic(aws: None) -> Topic:
    return Topic()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver.start() as running:
        yield running


@pytest.fixture(params=["recording", "sns", "webhook"])
def way(request: pytest.FixtureRequest) -> Way:
    if request.param == "recording":
        recording = RecordingAnnouncer()
        return Way(recording, None, lambda: [e.body for e in recording.delivered], recording.fail)
    if request.param == "sns":
        topic: Topic = request.getfixturevalue("topic")
        bodies = lambda: [str(m["Body"]).encode() for m in topic.heard()]  # noqa: E731
        return Way(SnsAnnouncer(client("sns"), topic.arn), None, bodies, topic.delete)
    receiver: WebhookReceiver = request.getfixturevalue("receiver")
    return Way(
        WebhookAnnouncer(lambda: SECRET, SystemClock(), allow_loopback=True),
        receiver.url,
        lambda: [r.body for r in receiver.requests],
        lambda: receiver.answer_with(Answer(503)),
    )


def test_the_body_arrives_byte_for_byte(way: Way) -> None:
    note = way.announcer.announce(EVENT, target=way.target)
    assert way.arrived() == [BODY]
    assert note


def test_each_way_has_a_channel_for_the_delivery_log(way: Way) -> None:
    assert way.announcer.channel in {"sns", "webhook"}


def test_what_did_not_arrive_is_a_failed_delivery(way: Way) -> None:
    way.break_down()
    with pytest.raises(DeliveryFailed):
        way.announcer.announce(EVENT, target=way.target)


def test_sns_subscribers_can_filter_by_attributes(topic: Topic) -> None:
    SnsAnnouncer(client("sns"), topic.arn).announce(EVENT, target=None)
    (message,) = topic.heard()
    attributes = message["MessageAttributes"]
    assert isinstance(attributes, dict)
    assert {name: value["StringValue"] for name, value in attributes.items()} == {
        "event_id": "evt_1",
        "type": "task.succeeded",
        "status": "succeeded",
        "agent": "finder",
        "tenant": "acme",
    }


def test_a_receiver_can_verify_what_came(receiver: WebhookReceiver) -> None:
    announcer = WebhookAnnouncer(lambda: SECRET, SystemClock(), allow_loopback=True)
    announcer.announce(EVENT, target=receiver.url)
    (request,) = receiver.wait_for(1)
    assert request.verify(secret_of(receiver.url)) == request.json() == json.loads(BODY)


def test_a_receiver_that_waits_in_vain_says_how_many_came(receiver: WebhookReceiver) -> None:
    with pytest.raises(TimeoutError, match="0 of 1"):
        receiver.wait_for(1, timeout=0.01)


def test_a_recording_announcer_fails_as_often_as_told() -> None:
    recording = RecordingAnnouncer()
    recording.fail(2)
    for _ in range(2):
        with pytest.raises(DeliveryFailed):
            recording.announce(EVENT, target=None)
    recording.announce(EVENT, target=None)
    assert [attempt.ok for attempt in recording.attempts] == [False, False, True]
