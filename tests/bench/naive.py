"""The baselines of PERF.md that we can write ourselves: the whole history as one item, and one item per cycle.

`client` is a plain DynamoDB client with its defaults, the table has `pk` and `sk` and nothing else.
"""

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

Messages = list[dict[str, Any]]
TABLE = "naive"
TASK = "task_01KDVDX3Z8Q4W6ERTY7P2ASDFG"


class Keeper(Protocol):
    """A way to keep a conversation."""

    def load(self) -> Messages:
        """All messages, strongly consistent."""
        ...

    def add(self, known: Messages, added: Messages) -> None:
        """Make `added` durable; `known` is what precedes it."""
        ...


@dataclass(frozen=True, slots=True)
class WholeHistory:
    """Everything so far in one item, written anew each time."""

    client: "DynamoDBClient"
    task: str = TASK

    def load(self) -> Messages:
        """All messages, strongly consistent."""
        found = self.client.get_item(TableName=TABLE, Key=_key(self.task, 0), ConsistentRead=True)
        messages: Messages = json.loads(found["Item"]["body"]["S"])
        return messages

    def add(self, known: Messages, added: Messages) -> None:
        """Make `added` durable; `known` is what precedes it."""
        body = {"S": json.dumps(known + added)}
        self.client.put_item(TableName=TABLE, Item={**_key(self.task, 0), "body": body})


@dataclass(frozen=True, slots=True)
class AppendItems:
    """PERF.md's probes: an item for what each cycle adds, deflated or not."""

    client: "DynamoDBClient"
    task: str = TASK
    deflated: bool = True

    def load(self) -> Messages:
        """All messages, strongly consistent."""
        found = self.client.query(
            TableName=TABLE,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": _key(self.task, 0)["pk"]},
            ConsistentRead=True,
        )
        return [message for item in found["Items"] for message in self._read(item)]

    def add(self, known: Messages, added: Messages) -> None:
        """Make `added` durable; `known` is what precedes it."""
        text = json.dumps(added)
        body = {"B": zlib.compress(text.encode())} if self.deflated else {"S": text}
        item: Any = {**_key(self.task, len(known)), "body": body}
        self.client.put_item(TableName=TABLE, Item=item)

    def _read(self, item: Any) -> Messages:
        body = item["body"]
        messages: Messages = json.loads(zlib.decompress(body["B"]) if self.deflated else body["S"])
        return messages


def run(keeper: Keeper, conversation: list[Messages], *, fresh: bool) -> Iterator[None]:
    """Keep a conversation step by step; pauses after each. `fresh` loads what precedes before each step."""
    known: Messages = []
    for number, added in enumerate(conversation):
        if fresh and number:
            known = keeper.load()
        keeper.add(known, added)
        known = known + added
        yield


def each_message(conversation: list[Messages]) -> list[Messages]:
    """The same conversation with a step for each model call and each tool call."""
    start, *cycles = conversation
    return [start, *([message] for cycle in cycles for message in cycle)]


@contextmanager
def naive_table(client: "DynamoDBClient") -> Iterator[None]:
    """The table of the baselines."""
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
    )
    yield
    client.delete_table(TableName=TABLE)


def _key(task: str, number: int) -> dict[str, dict[str, str]]:
    return {"pk": {"S": task}, "sk": {"S": f"{number:06d}"}}
