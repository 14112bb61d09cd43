"""Announcements on an SNS topic. Subscribers filter by the message attributes."""

from typing import TYPE_CHECKING

from ratchet.adapters.aws import AWS_ERRORS, error_code
from ratchet.contracts.errors import DeliveryFailed
from ratchet.ports import Event

if TYPE_CHECKING:
    from mypy_boto3_sns.client import SNSClient
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef

MAX_ATTRIBUTES = 10
"""With more, raw delivery to SQS drops the message: https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html."""


class SnsAnnouncer:
    """An `Announcer` on one topic; `target` plays no part."""

    channel = "sns"

    def __init__(self, client: "SNSClient", topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def announce(self, event: Event, *, target: str | None) -> str:  # noqa: ARG002 - the port's
        """Publish the event; returns the message id.

        Raises:
            DeliveryFailed: SNS refused it or did not answer.
        """
        try:
            answer = self._client.publish(
                TopicArn=self._topic_arn,
                Message=event.body.decode(),
                MessageAttributes=_attributes(event),
            )
        except AWS_ERRORS as exc:
            raise DeliveryFailed(f"SNS did not take the message: {error_code(exc)}") from exc
        return f"SNS message {answer['MessageId']}"


def _attributes(event: Event) -> "dict[str, MessageAttributeValueTypeDef]":
    """`event_id` lets a subscriber drop doubles; SNS refuses empty values."""
    values = {"event_id": event.id, "type": event.type, **event.attributes}
    filled = [(name, value) for name, value in values.items() if value]
    return {
        name: {"DataType": "String", "StringValue": value}
        for name, value in filled[:MAX_ATTRIBUTES]
    }
