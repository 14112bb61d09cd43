"""Erasing tasks: bodies, then items, the head last, so that a crash leaves it to be found by the sweeper.

The head is marked first: from then on no reader sees the task. One whose retention is over goes at once. One that is
deleted before may still have somebody at work for it, such as an attempt that everybody has given up. So of its head a
tombstone is left, which holds nothing that anybody said, with the note of what was counted and the places of the steps,
so that they count, commit and call nothing. When none of them can live any more the sweeper deletes what they have
written, and the tombstone.
"""

from contextlib import suppress
from typing import Any

from ratchet.adapters import dynamodb_items as items
from ratchet.adapters import dynamodb_updates as updates
from ratchet.adapters.dynamodb_bodies import Bodies
from ratchet.adapters.dynamodb_slots import DynamoDbSlots
from ratchet.adapters.dynamodb_table import Item, Refused, Table
from ratchet.contracts.limits import RING_AGAIN_SECONDS, TOMBSTONE_SECONDS
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
        if head is None:
            return self._erase_below(ref)
        if items.is_expired(head, self._clock.now_ms()):
            return self._erase_all(ref, head) if self._begin(ref, head) else 0
        if items.TOMBSTONE not in head:
            return self._bury(ref, head) if items.is_gone(head, self._clock.now_ms()) else 0
        is_due = self._clock.now_ms() >= int(head["due_at"]["N"])
        return self._erase_all(ref, head) if is_due else 0

    def erase_early(self, ref: TaskRef) -> int:
        """Delete an ended task before its retention is over; 0 if it has not ended, or is gone."""
        head = self._table.get(items.head_key(ref))
        if head is None or items.TOMBSTONE in head or not self._begin(ref, head):
            return 0
        return self._bury(ref, head)

    def _begin(self, ref: TaskRef, head: Item) -> bool:
        """Mark the task for all readers; what a crash leaves of it is due in a minute."""
        soon_ms = self._clock.now_ms() + RING_AGAIN_SECONDS * 1000
        if not self._table.update(updates.erasing(ref, head, soon_ms)):
            return False
        if "slot" in head:  # its end could never be announced
            self.unseat(ref, shard=int(head["slot"]["N"]))
        return True

    def _bury(self, ref: TaskRef, head: Item) -> int:
        """Delete all but the note of what was counted; put tombstones in the place of the head and of each step."""
        self._bodies.payloads.erase(ref)
        below = {k["sk"]["S"]: k for k in self._keys(ref) if k["sk"]["S"] != keys.HEAD}
        steps = [sk for sk in below if sk.startswith(keys.STEP_PREFIX)]
        doomed = [k for sk, k in below.items() if sk not in (*steps, keys.COUNTED)]
        self._table.delete(doomed, left=[items.closed_place(below[sk]) for sk in steps])
        due_at_ms = self._clock.now_ms() + TOMBSTONE_SECONDS * 1000
        stone = {**items.tombstone(head), **items.due(ref, due_at_ms)}
        place = items.read_place(head)
        # It goes with the head: who repeats the deletion finds the task by it.
        above = [] if place is None else [{"Delete": {"Key": items.place_key(ref.tenant, place)}}]
        put = {"Item": stone, "ConditionExpression": "attribute_exists(pk)"}
        with suppress(Refused):  # somebody else has finished it
            self._table.transact({"Put": put}, *above)
        return len(below) + len(above) + 1

    def _erase_all(self, ref: TaskRef, head: Item) -> int:
        erased = self._erase_below(ref)
        place = items.read_place(head)
        above = [] if place is None else [items.place_key(ref.tenant, place)]
        self._table.delete(above)
        self._table.delete([items.head_key(ref)])
        return erased + len(above) + 1

    def _erase_below(self, ref: TaskRef) -> int:
        self._bodies.payloads.erase(ref)
        below_head = [k for k in self._keys(ref) if k["sk"]["S"] != keys.HEAD]
        self._table.delete(below_head)
        return len(below_head)

    def _keys(self, ref: TaskRef) -> list[Item]:
        request: dict[str, Any] = {
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": keys.task_key(ref)}},
            "ProjectionExpression": "pk, sk",
            "ConsistentRead": True,
        }
        return [item for page in self._table.query(request) for item in page["Items"]]
