"""The doorbell: a standard SQS queue, fair between tenants."""

from typing import TYPE_CHECKING

from ratchet.adapters.aws import AWS_ERRORS, store_error
from ratchet.contracts.messages import Doorbell

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient


class SqsInbox:
    """The Inbox on AWS."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, bell: Doorbell) -> None:
        """Ring for a task. Raises StoreUnavailable when the queue does not answer."""
        try:
            self._client.send_message(
                QueueUrl=self._queue_url,
                MessageBody=bell.to_json(),
                # On a standard queue the group orders nothing; it keeps a busy tenant from delaying the others:
                # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
                MessageGroupId=bell.task.tenant,
            )
        except AWS_ERRORS as exc:
            raise store_error(exc) from exc

    def depth(self) -> int:
        """About how many messages nobody has received yet. Raises StoreUnavailable."""
        try:
            found = self._client.get_queue_attributes(
                QueueUrl=self._queue_url, AttributeNames=["ApproximateNumberOfMessages"]
            )
        except AWS_ERRORS as exc:
            raise store_error(exc) from exc
        return int(found["Attributes"]["ApproximateNumberOfMessages"])
