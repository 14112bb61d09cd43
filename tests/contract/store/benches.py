"""The two stores that every test of the port runs on, and what a test may do behind their backs."""

import base64
import uuid
from contextlib import AbstractContextManager
from typing import Any, Protocol
from unittest import mock

from ratchet.adapters import aws
from ratchet.adapters.dynamodb import DynamoDbCheckpoints
from ratchet.adapters.payloads import S3Payloads
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.messages import TaskRef
from ratchet.domain import keys
from ratchet.ports import CheckpointStore
from ratchet.testing.clock import FakeClock
from ratchet.testing.store import InMemoryCheckpoints
from ratchet.testing.store_rows import Partition
from tests.contract.store.wire import faults

TABLE = "checkpoints"
BUCKET = "payloads"
EVER = 2**53
"""Later than anything is due."""


class Bench(Protocol):
    """A store on a workbench."""

    store: CheckpointStore
    clock: FakeClock

    def due(self) -> dict[TaskRef, int]: ...
    def lose_head(self, ref: TaskRef) -> None: ...
    def interrupt_next_erase(self) -> AbstractContextManager[object]: ...
    def is_empty(self) -> bool: ...
    def payload_keys(self) -> list[str]: ...
    def lose_payload(self, key: str) -> None: ...
    def alter_payload(self, key: str, body: bytes) -> None: ...


class MemoryBench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.memory = InMemoryCheckpoints(self.clock)
        self.store: CheckpointStore = self.memory

    def due(self) -> dict[TaskRef, int]:
        return {
            due.ref: due.due_at_ms
            for shard in keys.due_shards()
            for due in self.memory.due_tasks(shard, now_ms=EVER, limit=1_000)
        }

    def lose_head(self, ref: TaskRef) -> None:
        self.memory.forget_head(ref)

    def interrupt_next_erase(self) -> AbstractContextManager[object]:
        return mock.patch.object(Partition, "erase", side_effect=StoreUnavailable)

    def is_empty(self) -> bool:
        return not any(p != Partition() for p in self.memory._partitions.values())

    def payload_keys(self) -> list[str]:
        return sorted(self.memory.payloads)

    def lose_payload(self, key: str) -> None:
        del self.memory.payloads[key]

    def alter_payload(self, key: str, body: bytes) -> None:
        self.memory.payloads[key] = body


class DynamoDbBench:
    def __init__(self, client: Any = None) -> None:
        self.clock = FakeClock()
        self.table = f"{TABLE}-{uuid.uuid1().hex}"
        self.client = client or aws.client("dynamodb")
        self.s3 = aws.client("s3")
        create_table(self.client, self.table)
        self.bucket = self.table
        self.s3.create_bucket(Bucket=self.bucket)
        self.store: CheckpointStore = DynamoDbCheckpoints(
            self.client,
            table=self.table,
            payloads=S3Payloads(lambda: self.s3, self.bucket),
            clock=self.clock,
        )

    def due(self) -> dict[TaskRef, int]:
        found: dict[TaskRef, int] = {}
        for shard in range(keys.DUE_SHARDS):
            page = self.client.query(
                TableName=self.table,
                IndexName="due",
                KeyConditionExpression="due = :due",
                ExpressionAttributeValues={":due": {"S": f"DUE#{shard}"}},
            )
            for item in page["Items"]:
                _, tenant, _, task_id = item["pk"]["S"].split("#")
                found[TaskRef(tenant, task_id)] = int(item["due_at"]["N"])
        return found

    def lose_head(self, ref: TaskRef) -> None:
        key: Any = {"pk": {"S": keys.task_key(ref)}, "sk": {"S": keys.HEAD}}
        self.client.delete_item(TableName=self.table, Key=key)

    def interrupt_next_erase(self) -> AbstractContextManager[object]:
        """The second batch of deletions gets no answer, and is carried out."""
        return faults(self.client, "BatchWriteItem", after=1, times=3, applied=True)

    def is_empty(self) -> bool:
        return not [item for item in self.items() if item["sk"]["S"] != "IDEMPOTENCY"]

    def payload_keys(self) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket)
        return [found["Key"] for found in listed.get("Contents", [])]

    def lose_payload(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.bucket, Key=key)

    def alter_payload(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def items(self) -> list[dict[str, Any]]:
        """All items, in the order of their keys."""
        pages = self.client.get_paginator("scan").paginate(TableName=self.table)
        found = [item for page in pages for item in page["Items"]]
        return sorted(found, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))

    def wire_items(self) -> list[dict[str, Any]]:
        """All items as an answer carries them."""
        return [{name: _wire(value) for name, value in item.items()} for item in self.items()]

    def close(self) -> None:
        # moto copies all tables of a transaction: old ones would slow down every later test.
        self.client.delete_table(TableName=self.table)


def create_table(client: Any, name: str) -> None:
    """The table as the CDK makes it."""
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": attribute, "AttributeType": kind}
            for attribute, kind in {
                "pk": "S",
                "sk": "S",
                "tenant_key": "S",
                "task_id": "S",
                "due": "S",
                "due_at": "N",
                "waiting": "S",
                "wait_rank": "S",
            }.items()
        ],
        KeySchema=_schema("pk", "sk"),
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_tenant",
                "KeySchema": _schema("tenant_key", "task_id"),
                "Projection": {
                    "ProjectionType": "INCLUDE",
                    "NonKeyAttributes": ["status", "agent", "user_id", "created_at", "updated_at"],
                },
            },
            {
                "IndexName": "due",
                "KeySchema": _schema("due", "due_at"),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["status"]},
            },
            {
                "IndexName": "waiting",
                "KeySchema": _schema("waiting", "wait_rank"),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            },
        ],
    )


def _schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


def _wire(value: dict[str, Any]) -> dict[str, Any]:
    if "B" in value:
        return {"B": base64.b64encode(value["B"]).decode()}
    return value
