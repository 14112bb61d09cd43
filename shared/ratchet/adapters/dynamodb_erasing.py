"""Erasing a task whose retention is over: bodies, then items, the head last, so that a crash leaves it to be found.

The head is marked first. From then on no reader sees the task, and the sweeper finishes what a crash has left.
"""

from typing import Any

from ratchet.adapters import dynamodb_items as items
from ratchet.adapters import dynamodb_updates as updates
from ratchet.adapters.dynamodb_bodies import Bodies
from ratchet.adapters.dynamodb_slots import DynamoDbSlots
from ratchet.adapters.dynamodb_table import Item, Table
from ratchet.contracts.limits import RING_AGAIN_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.domain import keys
from ratchet.ports import Clock


class DynamoDbErasing(DynamoDbSlots):
    """The end of tasks. Part of the CheckpointStore on AWS."""

    _table: Table
    _bodies: Bodies
    _clock: Clock

    def erase(self, ref: TaskRef) -> int:
        """Delete a task that no reader sees any more; returns the items deleted, 0 while readers can see it."""
        head = self._table.get(items.head_key(ref))
        if head is not None and not items.is_gone(head, self._clock.now_ms()):
            return 0
        return self._erase(ref, head)

    def erase_early(self, ref: TaskRef) -> int:
        """Delete an ended task before its retention is over; 0 if it has not ended, or is gone."""
        head = self._table.get(items.head_key(ref))
        return 0 if head is None else self._erase(ref, head)

    def _erase(self, ref: TaskRef, head: Item | None) -> int:
        soon_ms = self._clock.now_ms() + RING_AGAIN_SECONDS * 1000
        if head is not None and not self._table.update(updates.erasing(ref, head, soon_ms)):
            return 0
        if head is not None and "slot" in head:  # its end could never be announced
            self.unseat(ref, shard=int(head["slot"]["N"]))
        self._bodies.payloads.erase(ref)
        below_head = [k for k in self._keys(ref) if k["sk"]["S"] != keys.HEAD]
        self._table.delete(below_head)
        if head is None:
            return len(below_head)
        place = items.read_place(head)
        above = [] if place is None else [items.place_key(ref.tenant, place)]
        self._table.delete(above)
        self._table.delete([items.head_key(ref)])
        return len(below_head) + len(above) + 1

    def _keys(self, ref: TaskRef) -> list[Item]:
        request: dict[str, Any] = {
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": keys.task_key(ref)}},
            "ProjectionExpression": "pk, sk",
            "ConsistentRead": True,
        }
        return [item for page in self._table.query(request) for item in page["Items"]]
