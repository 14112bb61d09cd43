"""SQS event source mappings: poll, invoke with a batch, delete what succeeded.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from threading import BoundedSemaphore, Event, Thread
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ratchet.local.endpoint import Endpoint
from ratchet.local.functions.model import FunctionNotFound, Throttled
from ratchet.local.functions.service import FunctionService
from ratchet.local.json_types import Json, JsonObject

_POLL_SECONDS = 2
_MAX_RECEIVE = 10


@dataclass(frozen=True, slots=True)
class SqsMapping:
    """One AWS::Lambda::EventSourceMapping of a queue."""

    queue_arn: str
    function: str
    batch_size: int = 10
    max_concurrency: int = 5
    reports_failures: bool = False


class SqsPollers:
    """Runs the mappings of the stack, one polling thread each."""

    def __init__(self, functions: FunctionService, endpoint: Endpoint) -> None:
        self._functions = functions
        self._endpoint = endpoint
        self._mappings: list[SqsMapping] = []
        self._closing = Event()

    def add(self, mapping: SqsMapping) -> None:
        """Registers a mapping; polling begins with start()."""
        self._mappings.append(mapping)

    def start(self) -> None:
        """Begins to poll."""
        for mapping in self._mappings:
            poller = _Poller(mapping, self._functions, self._endpoint, self._closing)
            Thread(target=poller.run, daemon=True, name=f"sqs-{mapping.queue_arn}").start()

    def close(self) -> None:
        """Stops polling; batches in flight become visible again later."""
        self._closing.set()


class _Poller:
    def __init__(
        self, mapping: SqsMapping, functions: FunctionService, endpoint: Endpoint, closing: Event
    ) -> None:
        self._mapping = mapping
        self._functions = functions
        self._region = endpoint.region
        self._sqs: Any = endpoint.client("sqs")
        self._closing = closing
        self._slots = BoundedSemaphore(mapping.max_concurrency)

    def run(self) -> None:
        name = self._mapping.queue_arn.rpartition(":")[2]
        url = self._quietly(lambda: self._sqs.get_queue_url(QueueName=name)["QueueUrl"])
        while url and not self._closing.is_set():
            self._slots.acquire()
            messages = self._quietly(lambda: self._receive(url))
            if messages:
                Thread(target=self._handle, args=(url, messages), daemon=True).start()
            else:
                self._slots.release()

    def _receive(self, url: str) -> list[JsonObject]:
        reply = self._sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(_MAX_RECEIVE, self._mapping.batch_size),
            WaitTimeSeconds=_POLL_SECONDS,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages: list[JsonObject] = reply.get("Messages", [])
        return messages

    def _handle(self, url: str, messages: list[JsonObject]) -> None:
        try:
            failed = self._failed(messages)
            done = [message for message in messages if message["MessageId"] not in failed]
            if done:
                entries = [
                    {"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(done)
                ]
                self._quietly(lambda: self._sqs.delete_message_batch(QueueUrl=url, Entries=entries))
        finally:
            self._slots.release()

    def _failed(self, messages: list[JsonObject]) -> set[str]:
        """Ids of the messages that stay in the queue."""
        everything = {message["MessageId"] for message in messages}
        event = {"Records": [self._record(message) for message in messages]}
        try:
            invocation = self._functions.invoke(self._mapping.function, json.dumps(event).encode())
        except (FunctionNotFound, Throttled):
            return everything
        if invocation.function_error:
            return everything
        if not self._mapping.reports_failures:
            return set()
        failed = _reported_failures(invocation.result)
        return everything if failed is None or failed - everything else failed

    def _record(self, message: JsonObject) -> JsonObject:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": {
                name: {
                    "stringValue": value.get("StringValue"),
                    "dataType": value["DataType"],
                    "stringListValues": [],
                    "binaryListValues": [],
                }
                for name, value in message.get("MessageAttributes", {}).items()
            },
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self._mapping.queue_arn,
            "awsRegion": self._region,
        }

    def _quietly(self, call: Callable[[], Any]) -> Any:
        """The call's result, or None when the stack is going away or the queue is."""
        try:
            return call()
        except (BotoCoreError, ClientError):
            self._closing.wait(0.2)
            return None


def _reported_failures(result: bytes) -> set[str] | None:
    """The reported item ids; None when the report is unusable, so that the whole batch failed."""
    try:
        report: Json = json.loads(result or b"null") or {}
        failures = report.get("batchItemFailures") or []
        ids = {failure["itemIdentifier"] for failure in failures}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return ids if all(ids) else None
