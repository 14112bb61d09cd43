"""Batches in the one table: an item each, written in one transaction with the heads of their tasks.

So nothing of a batch can be missing and nothing of it is made twice: there is no half-way that somebody had to mend.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ratchet.adapters import dynamodb_items as items
from ratchet.adapters.dynamodb_bodies import Bodies
from ratchet.adapters.dynamodb_table import Item, Refused, Table
from ratchet.batch_ports import Batch, BatchCreated, Member
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import BATCH_RETENTION_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.domain import codec, keys
from ratchet.domain.task import Task
from ratchet.ports import Clock, IdempotencyClaim

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from ratchet.adapters.payloads import Payloads


class DynamoDbBatches:
    """The BatchStore on AWS."""

    def __init__(
        self, client: "DynamoDBClient", *, table: str, payloads: "Payloads", clock: Clock
    ) -> None:
        self._table = Table(client, table, clock)
        self._bodies = Bodies(payloads)
        self._clock = clock

    def create_batch(
        self,
        batch: Batch,
        tasks: Sequence[Task],
        *,
        claim: IdempotencyClaim | None,
        due_at_ms: int,
    ) -> BatchCreated:
        """Write the batch, its queued tasks and the claim, all or nothing; with a known key, what that created."""
        claims = [] if claim is None else [self._new_claim(batch, claim)]
        new = [_batch_item(batch), *(self._head(task, due_at_ms) for task in tasks)]
        puts = [{"Item": item, "ConditionExpression": "attribute_not_exists(pk)"} for item in new]
        try:
            self._table.transact(*({"Put": put} for put in (*claims, *puts)))
        except Refused as refused:
            return self._created_before(batch, claim, refused)
        return BatchCreated(batch, is_replay=False)

    def batch(self, tenant: str, batch_id: str) -> Batch | None:
        """The batch; None if this tenant has none of that id (any more)."""
        found = self._table.get(_batch_key(tenant, batch_id))
        if found is None or int(found["expires_at"]["N"]) < self._clock.now_ms() // 1000:
            return None
        task_ids = tuple(task_id["S"] for task_id in found["task_ids"]["L"])
        return Batch(tenant, batch_id, int(found["created_at"]["N"]), task_ids)

    def members(self, batch: Batch) -> Sequence[Member]:
        """Its tasks in their order, without those that were erased: one read request."""
        refs = [TaskRef(batch.tenant, task_id) for task_id in batch.task_ids]
        heads = self._table.get_all([items.head_key(ref) for ref in refs])
        now = self._clock.now_ms()
        return [_member(h) for h in heads if h is not None and not items.is_gone(h, now)]

    def _head(self, task: Task, due_at_ms: int) -> Item:
        body = self._bodies.write(task.ref, codec.encode_task(task))
        return items.new_head(task, body, due_at_ms=due_at_ms)

    def _new_claim(self, batch: Batch, claim: IdempotencyClaim) -> Item:
        item: Item = {
            **items.key(keys.idempotency_key(batch.tenant, claim.key), "IDEMPOTENCY"),
            "batch_id": {"S": batch.batch_id},
            "body_sha256": {"S": claim.body_sha256},
            "expires_at": items.number(claim.expires_at),
        }
        return {
            "Item": item,
            "ConditionExpression": "attribute_not_exists(pk) OR expires_at < :now",
            "ExpressionAttributeValues": {":now": items.number(self._clock.now_ms() // 1000)},
        }

    def _created_before(
        self, batch: Batch, claim: IdempotencyClaim | None, refused: Refused
    ) -> BatchCreated:
        """What holds the key; or this very request, sent again after its answer was lost."""
        batch_id, digest = batch.batch_id, None
        if claim is not None:
            pointer = items.key(keys.idempotency_key(batch.tenant, claim.key), "IDEMPOTENCY")
            held = refused.items[0] or self._table.get(pointer)
            if held is not None:
                batch_id, digest = held["batch_id"]["S"], held["body_sha256"]["S"]
        stored = self.batch(batch.tenant, batch_id)
        if stored is None:
            raise StoreUnavailable(f"{batch_id} was refused without a reason")
        return BatchCreated(stored, batch_id != batch.batch_id, digest)


def _batch_key(tenant: str, batch_id: str) -> Item:
    return items.key(keys.batch_key(tenant, batch_id), keys.BATCH)


def _batch_item(batch: Batch) -> Item:
    return {
        **_batch_key(batch.tenant, batch.batch_id),
        "task_ids": {"L": [{"S": task_id} for task_id in batch.task_ids]},
        "created_at": items.number(batch.created_at_ms),
        "expires_at": items.number(batch.created_at_ms // 1000 + BATCH_RETENTION_SECONDS),
    }


def _member(head: Item) -> Member:
    cost = int(head["cost_microusd"]["N"]) if "cost_microusd" in head else 0
    return Member(items.read_summary(head), cost)
