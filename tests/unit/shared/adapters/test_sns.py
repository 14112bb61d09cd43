"""The SNS adapter's message, without AWS."""

from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from ratchet.adapters.sns import SnsAnnouncer
from ratchet.contracts.errors import DeliveryFailed
from ratchet.ports import Event

if TYPE_CHECKING:
    from mypy_boto3_sns.client import SNSClient

ARN = "arn:aws:sns:eu-west-1:123456789012:events"


class Sns:
    """Stands in for the botocore client."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.published: list[dict[str, Any]] = []

    def publish(self, **request: Any) -> dict[str, str]:
        self.published.append(request)
        if self._error is not None:
            raise self._error
        return {"MessageId": "m-1"}


def announce(client: Sns, event: Event) -> str:
    return SnsAnnouncer(cast("SNSClient", client), ARN).announce(event, target="not used")


def test_the_message_is_the_body_and_the_note_its_id() -> None:
    client = Sns()
    note = announce(client, Event("evt_1", "task.failed", b"{}", {"tenant": "acme"}))
    assert note == "SNS message m-1"
    assert client.published == [
        {
            "TopicArn": ARN,
            "Message": "{}",
            "MessageAttributes": {
                "event_id": {"DataType": "String", "StringValue": "evt_1"},
                "type": {"DataType": "String", "StringValue": "task.failed"},
                "tenant": {"DataType": "String", "StringValue": "acme"},
            },
        }
    ]


def test_no_more_attributes_than_raw_delivery_takes() -> None:
    client = Sns()
    many = {f"a{i}": "x" for i in range(20)}
    announce(client, Event("evt_1", "task.failed", b"{}", many))
    assert len(client.published[0]["MessageAttributes"]) == 10


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ClientError({"Error": {"Code": "Throttling"}}, "Publish"), "Throttling"),
        (EndpointConnectionError(endpoint_url="https://sns.test"), "EndpointConnectionError"),
    ],
)
def test_every_error_is_a_failed_delivery(error: Exception, code: str) -> None:
    with pytest.raises(DeliveryFailed, match=code):
        announce(Sns(error), Event("evt_1", "task.failed", b"{}"))
