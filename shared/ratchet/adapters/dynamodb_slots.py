"""Slots of running tasks and the lines of those that wait: counters beside the heads, and the `waiting` index.

A slot is an attribute of the head; it and the two counters change in one transaction. What is told twice, because the
answer was lost, is refused the second time by the head: so nothing is counted twice.
"""

from collections.abc import Sequence
from typing import Any

from ratchet.adapters import dynamodb_items as items
from ratchet.adapters import dynamodb_updates as updates
from ratchet.adapters.dynamodb_table import Item, Refused, Table
from ratchet.contracts.limits import WAITING_LAPSE_SECONDS, WAITING_LOOK_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.domain import keys
from ratchet.domain.admission import Candidate, Limit
from ratchet.domain.slots import SHARDS, Board, Counts, Place, Seat, Seating

_KEPT_SECONDS = 10 * max(WAITING_LAPSE_SECONDS, WAITING_LOOK_SECONDS)


class DynamoDbSlots:
    """The SlotStore on AWS. Part of the CheckpointStore there."""

    _table: Table

    def board(self) -> Board:
        """The limit, and who was seen to wait: one read request (more above 1 MB of tenants)."""
        request = {
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": keys.ADMISSION}},
            "ConsistentRead": True,
        }
        found = {i["sk"]["S"]: i for page in self._table.query(request) for i in page["Items"]}
        limit = found.pop(keys.LIMIT, {})
        return Board(
            limit=_limit(limit),
            adjusted_at_ms=_number(limit, "adjusted_at"),
            throttled=_number(limit, "throttled"),
            waiting={
                keys.waiting_tenant(sk): _number(item, "noted_at") for sk, item in found.items()
            },
        )

    def counts(self, tenants: Sequence[str]) -> Counts:
        """How many tasks hold slots, also of these tenants: one read request, strongly consistent."""
        shards = [_slots_key(keys.admission_key(k)) for k in range(SHARDS)]
        of_tenants = [_slots_key(keys.tenant_slots_key(tenant)) for tenant in tenants]
        found = self._table.get_all([*shards, *of_tenants])
        running = [_number(item, "running") for item in found]
        return Counts(running[:SHARDS], dict(zip(tenants, running[SHARDS:], strict=True)))

    def first_waiting(self, tenant: str, *, limit: int) -> Sequence[Candidate]:
        """The first of a tenant's line: one read request."""
        request = {
            "IndexName": "waiting",
            "KeyConditionExpression": "waiting = :tenant",
            "ExpressionAttributeValues": {":tenant": {"S": keys.tenant_key(tenant)}},
            "Limit": limit,
        }
        page = next(self._table.query(request))
        return [keys.candidate_of(tenant, item["wait_rank"]["S"]) for item in page["Items"]]

    def seat(self, ref: TaskRef, seat: Seat) -> Seating:
        """Take a slot for a queued task and take it out of the line, atomically, below both caps."""
        try:
            self._table.transact(
                {"Update": updates.seated(ref, seat)},
                {"Update": _one_more(keys.tenant_slots_key(ref.tenant), seat.tenant_cap)},
                {"Update": _one_more(keys.admission_key(seat.shard), seat.shard_cap)},
            )
        except Refused as refused:
            if not refused.failed[0]:
                return Seating.FULL
            # It may have been this very request, whose answer was lost.
            head = refused.items[0] or self._table.get(items.head_key(ref)) or {}
            is_seated = "slot" in head and head["status"]["S"] == "queued"
            return Seating.SEATED if is_seated else Seating.NOT_WAITING
        return Seating.SEATED

    def park(self, place: Place) -> bool:
        """Put a queued task into its tenant's line, or renew its place; False if it does not wait any more."""
        return self._table.update(updates.parked(place))

    def note_waiting(self, tenant: str, *, at_ms: int) -> None:
        """Note that the tenant's line is not empty; TTL takes what is not renewed."""
        expires = {"expires_at": items.number(at_ms // 1000 + _KEPT_SECONDS)}
        self._table.update(
            {
                "Key": items.key(keys.ADMISSION, keys.waiting_sort_key(tenant)),
                "UpdateExpression": "SET noted_at = :now, expires_at = :expires",
                "ConditionExpression": "attribute_not_exists(noted_at) OR noted_at < :now",
                "ExpressionAttributeValues": {
                    ":now": items.number(at_ms),
                    ":expires": expires["expires_at"],
                },
            }
        )

    def unseat(self, ref: TaskRef, *, shard: int) -> bool:
        """Give back the slot of an ended or paused task, once; False if it holds none, or goes on."""
        try:
            self._table.transact(
                {"Update": updates.unseated(ref, shard)},
                {"Update": one_less(keys.tenant_slots_key(ref.tenant))},
                {"Update": one_less(keys.admission_key(shard))},
            )
        except Refused:
            return False
        return True

    def note_throttled(self, shard: int) -> None:
        """Count a 429 of a model provider that a task of this shard met."""
        self._table.update(
            {
                "Key": items.key(keys.admission_key(shard), keys.THROTTLED),
                "UpdateExpression": "ADD throttled :one",
                "ExpressionAttributeValues": {":one": items.number(1)},
            }
        )

    def throttled(self) -> int:
        """How many 429s have been counted, ever: one read request."""
        found = self._table.get_all(
            [items.key(keys.admission_key(k), keys.THROTTLED) for k in range(SHARDS)]
        )
        return sum(_number(item, "throttled") for item in found)

    def move_limit(self, before: Board, after: Limit, *, at_ms: int, throttled: int) -> bool:
        """Store the limit unless somebody has since the board was read."""
        values: Item = {
            ":value": items.number(after.value),
            ":at": items.number(at_ms),
            ":throttled": items.number(throttled),
            ":before": items.number(before.adjusted_at_ms),
        }
        sets = "SET running_limit = :value, adjusted_at = :at, throttled = :throttled"
        if after.throttled_at is not None:
            sets += ", throttled_at = :throttled_at"
            values[":throttled_at"] = items.number(after.throttled_at)
        return self._table.update(
            {
                "Key": items.key(keys.ADMISSION, keys.LIMIT),
                "UpdateExpression": sets,
                "ConditionExpression": "attribute_not_exists(adjusted_at) OR adjusted_at = :before",
                "ExpressionAttributeValues": values,
            }
        )


def _slots_key(partition: str) -> Item:
    return items.key(partition, keys.SLOTS)


def _one_more(partition: str, cap: int) -> dict[str, Any]:
    # A counter that does not exist counts 0, and no cap is below 1 where somebody may be admitted at all.
    return {
        "Key": _slots_key(partition),
        "UpdateExpression": "ADD running :one",
        "ConditionExpression": "attribute_not_exists(running) OR running < :cap",
        "ExpressionAttributeValues": {":one": items.number(1), ":cap": items.number(cap)},
    }


def one_less(partition: str) -> dict[str, Any]:
    """The update that counts one running task less."""
    return {
        "Key": _slots_key(partition),
        "UpdateExpression": "ADD running :less",
        "ExpressionAttributeValues": {":less": items.number(-1)},
    }


def _limit(item: Item) -> Limit | None:
    if "running_limit" not in item:
        return None
    throttled_at = _number(item, "throttled_at") if "throttled_at" in item else None
    return Limit(_number(item, "running_limit"), throttled_at)


def _number(item: Item | None, name: str) -> int:
    return int(item[name]["N"]) if item and name in item else 0
