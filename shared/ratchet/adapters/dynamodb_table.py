"""One DynamoDB table as conditional writes and strongly consistent queries, with our errors."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from botocore.exceptions import ClientError

from ratchet.adapters.aws import (
    AWS_ERRORS,
    error_code,
    is_conflict,
    is_throttled_transaction,
    store_error,
)
from ratchet.contracts.errors import StoreUnavailable
from ratchet.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

Item: TypeAlias = dict[str, Any]
"""An item, key or set of expression values as it goes over the wire: {"pk": {"S": "..."}}."""
T = TypeVar("T")

# A transaction holds its items for a few milliseconds; whoever meets it comes back after that.
_CONFLICT_PAUSES = (0.02, 0.05, 0.1, 0.2)
# What a batch leaves over was throttled: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
_THROTTLE_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
_BATCH = 25


class Refused(Exception):
    """A condition did not hold: `items` are what stood there, one per write, None where nothing did or it held."""

    def __init__(self, failed: Sequence[bool], items: Sequence[Item | None]) -> None:
        super().__init__("a condition did not hold")
        self.failed = tuple(failed)
        self.items = tuple(items)


class Table:
    """Requests to one table. Every method may raise StoreUnavailable or ServiceRefused."""

    def __init__(self, client: "DynamoDBClient", name: str, clock: Clock) -> None:
        self.client = client
        self.name = name
        self._clock = clock

    def put_new(self, item: Item) -> Item | None:
        """Put an item unless its key is taken; returns the item that took it, None if this one was written."""
        return self.put({"Item": item, "ConditionExpression": "attribute_not_exists(pk)"})

    def put(self, put: Mapping[str, Any]) -> Item | None:
        """Send a PutItem; returns the item by which its condition did not hold, None if this one was written."""
        try:
            self._send(
                lambda: self.client.put_item(
                    TableName=self.name, ReturnValuesOnConditionCheckFailure="ALL_OLD", **put
                )
            )
        except Refused as refused:
            # DynamoDB Local refuses without showing what stands there.
            return refused.items[0] or self.get({name: put["Item"][name] for name in ("pk", "sk")})
        return None

    def update(self, update: Mapping[str, Any]) -> bool:
        """Send an UpdateItem; returns whether its condition held."""
        try:
            self._send(lambda: self.client.update_item(TableName=self.name, **update))
        except Refused:
            return False
        return True

    def update_returning(self, update: Mapping[str, Any]) -> Item:
        """Send an UpdateItem; the item as it is now.

        Raises:
            Refused: the condition did not hold.
        """
        done = self._send(
            lambda: self.client.update_item(
                TableName=self.name,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **update,
            )
        )
        return done["Attributes"]

    def transact(self, *writes: Mapping[str, Any]) -> None:
        """All writes or none; each is the one entry of a TransactWriteItems element.

        Raises:
            Refused: a condition did not hold.
        """
        elements: list[Any] = [
            {
                kind: {
                    "TableName": self.name,
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                    **body,
                }
            }
            for write in writes
            for kind, body in write.items()
        ]
        self._send(lambda: self.client.transact_write_items(TransactItems=elements))

    def get(self, key: Item) -> Item | None:
        """The item of a key, strongly consistent."""
        found = self._send(
            lambda: self.client.get_item(TableName=self.name, Key=key, ConsistentRead=True)
        )
        return found.get("Item")

    def get_all(self, wanted: Sequence[Item]) -> list[Item | None]:
        """The items of up to 100 keys, in their order, strongly consistent: one request."""
        request: Any = {self.name: {"Keys": list(wanted), "ConsistentRead": True}}
        found: dict[tuple[str, str], Item] = {}
        for pause in (*_THROTTLE_PAUSES, None):
            answer = self._send(partial(self.client.batch_get_item, RequestItems=request))
            for item in answer.get("Responses", {}).get(self.name, []):
                found[item["pk"]["S"], item["sk"]["S"]] = dict(item)
            request = answer.get("UnprocessedKeys", {})
            if not request:
                break
            if pause is None:
                raise StoreUnavailable("BatchGetItem left keys over")
            self._clock.sleep(pause)
        return [found.get((key["pk"]["S"], key["sk"]["S"])) for key in wanted]

    def query(self, request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The pages of a Query, as they come: `Items`, and `LastEvaluatedKey` unless it is the last."""
        request = {"TableName": self.name, **request}
        while True:
            page = self._send(partial(self.client.query, **request))
            yield page
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def scan(self, request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The pages of a Scan of the whole table, as they come."""
        request = {"TableName": self.name, **request}
        while True:
            page = self._send(partial(self.client.scan, **request))
            yield page
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def delete(self, doomed: Sequence[Item], *, left: Sequence[Item] = ()) -> None:
        """Delete the items of these keys and put those `left` in place of theirs, 25 to a request.

        What DynamoDB leaves over is sent again.

        Raises:
            StoreUnavailable: it kept leaving some over. Others are gone; the same call may be repeated.
        """
        puts = [{"PutRequest": {"Item": item}} for item in left]
        writes = [*({"DeleteRequest": {"Key": key}} for key in doomed), *puts]
        for start in range(0, len(writes), _BATCH):
            over: Any = writes[start : start + _BATCH]
            for pause in (*_THROTTLE_PAUSES, None):
                over = self._write_batch(over)
                if not over:
                    break
                if pause is None:
                    raise StoreUnavailable(f"BatchWriteItem left {len(over)} items over")
                self._clock.sleep(pause)

    def _write_batch(self, requests: Any) -> Any:
        answer = self._send(
            lambda: self.client.batch_write_item(RequestItems={self.name: requests})
        )
        return answer.get("UnprocessedItems", {}).get(self.name, [])

    def _send(self, call: Callable[[], T]) -> T:
        tries = 0
        while True:
            try:
                return call()
            except AWS_ERRORS as exc:
                refused = _refused(exc)
                if refused is not None:
                    raise refused from None
                pauses = _pauses(exc)
                if tries >= len(pauses):
                    raise store_error(exc) from exc
            self._clock.sleep(pauses[tries])
            tries += 1


def _pauses(exc: BaseException) -> Sequence[float]:
    """How long to wait before each further try of what botocore does not try again itself."""
    if is_conflict(exc):
        return _CONFLICT_PAUSES
    return _THROTTLE_PAUSES if is_throttled_transaction(exc) else ()


def _refused(exc: BaseException) -> Refused | None:
    if not isinstance(exc, ClientError):
        return None
    response: Any = exc.response
    if error_code(exc) == "ConditionalCheckFailedException":
        return Refused([True], [response.get("Item")])
    if error_code(exc) != "TransactionCanceledException":
        return None
    reasons = response.get("CancellationReasons", [])
    failed = [reason.get("Code") == "ConditionalCheckFailed" for reason in reasons]
    return Refused(failed, [r.get("Item") for r in reasons]) if any(failed) else None
