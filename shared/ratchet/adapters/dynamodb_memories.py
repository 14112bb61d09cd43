"""Memory in DynamoDB: an item for each fact, and one for each namespace that counts them."""

from collections.abc import Iterator
from typing import Any

from ratchet.adapters import dynamodb_items as items
from ratchet.adapters.dynamodb_table import Item, Refused, Table
from ratchet.contracts.errors import AttemptSuperseded
from ratchet.domain import keys, memory_keys
from ratchet.domain.memory import Change, Done, Fact, Look, MemoryCall, Place, Shelf
from ratchet.domain.memory_codec import decode_fact, encode_fact
from ratchet.memory_ports import FactPage
from ratchet.ports import Clock

_ABSENT = {"ConditionExpression": "attribute_not_exists(pk)"}


class DynamoDbMemories:
    """The MemoryStore on AWS."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def look(self, place: Place, key: str, *, call: MemoryCall | None = None) -> Look:
        """The fact under a key, the shelf of its namespace, and what the call has done before: one request."""
        marks = [] if call is None else [_mark_key(call)]
        fact, shelf, *found = self._table.get_all(
            [_fact_key(place, key), _shelf_key(place), *marks]
        )
        mark = found[0] if found else None
        return Look(
            place,
            key,
            None if fact is None else _read(fact),
            Shelf() if shelf is None else _read_shelf(shelf),
            None if mark is None else _read_mark(mark),
        )

    def change(self, change: Change) -> bool:
        """Write it, all or nothing; False if fact, shelf or mark are not as they were read.

        Raises:
            AttemptSuperseded: the step of the call is committed, or its task is gone.
        """
        writes = [_fact_write(change)]
        if change.moves_shelf:
            writes.append(_shelf_write(change))
        call, done = change.call, change.done
        if call is not None and done is not None:
            # A step's place may be kept for its effects before it is committed.
            free = f"attribute_not_exists(pk) OR attribute_exists({items.RESERVED})"
            fence = {"Key": items.step_key(call.ref, call.step), "ConditionExpression": free}
            exists = {
                "Key": items.head_key(call.ref),
                "ConditionExpression": "attribute_exists(pk) AND attribute_not_exists(erasing)",
            }
            checks = [{"ConditionCheck": fence}, {"ConditionCheck": exists}]
            writes += [{"Put": _mark(call, done)}, *checks]
        if len(writes) == 1 and "Put" in writes[0]:
            return self._table.put(writes[0]["Put"]) is None
        try:
            self._table.transact(*writes)
        except Refused as refused:
            if call is not None and any(refused.failed[-2:]):
                text = f"step {call.step} is committed, or its task is gone"
                raise AttemptSuperseded(text) from None
            return False
        return True

    def page(
        self, place: Place, *, prefix: str = "", limit: int, after: str | None = None
    ) -> FactPage:
        """The facts whose keys begin so and come after that one. What has expired is left out."""
        found: list[Fact] = []
        for fact in self._facts(place, prefix, limit, after):
            if len(found) == limit:
                return FactPage(found, found[-1].key)
            found.append(fact)
        return FactPage(found, None)

    def clear(self, place: Place) -> tuple[int, bool]:
        """Delete the whole namespace: how many facts that were, and whether none came meanwhile."""
        shelf = self._table.get(_shelf_key(place))
        doomed = [
            items.key(item["pk"]["S"], item["sk"]["S"])
            for page in self._table.query(_query(place, "", ProjectionExpression="pk, sk"))
            for item in page["Items"]
        ]
        self._table.delete(doomed)
        if shelf is None:
            return len(doomed), True
        condition = _as_it_was(_read_shelf(shelf))
        try:
            self._table.transact({"Delete": {"Key": _shelf_key(place), **condition}})
        except Refused:
            return len(doomed), self._table.get(_shelf_key(place)) is None
        return len(doomed), True

    def _facts(self, place: Place, prefix: str, limit: int, after: str | None) -> Iterator[Fact]:
        """The living facts, in order; read as they are asked for."""
        request = _query(place, prefix, Limit=limit + 1)
        if after is not None:
            request["ExclusiveStartKey"] = _fact_key(place, after)
        for page in self._table.query(request):
            for item in page["Items"]:
                fact = _read(item)
                if not fact.is_over(now_ms=self._clock.now_ms()):
                    yield fact


def _query(place: Place, prefix: str, **more: Any) -> dict[str, Any]:
    return {
        "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
        "ExpressionAttributeValues": {
            ":pk": {"S": _partition(place)},
            ":prefix": {"S": memory_keys.memory_prefix(prefix)},
        },
        "ConsistentRead": True,
        **more,
    }


def _partition(place: Place) -> str:
    return memory_keys.memory_key(place.tenant, str(place.namespace))


def _fact_key(place: Place, key: str) -> Item:
    return items.key(_partition(place), memory_keys.memory_sort_key(key))


def _shelf_key(place: Place) -> Item:
    return items.key(_partition(place), memory_keys.MEMORIES)


def _mark_key(call: MemoryCall) -> Item:
    return items.key(keys.task_key(call.ref), memory_keys.remembered_sort_key(call.step, call.key))


def _mark(call: MemoryCall, done: Done) -> Item:
    item = {
        **_mark_key(call),
        "namespace": {"S": done.namespace},
        "memory": {"S": done.key},
        "digest": {"S": done.digest},
    }
    return {"Item": item, **_ABSENT}


def _read_mark(item: Item) -> Done:
    return Done(item["namespace"]["S"], item["memory"]["S"], item["digest"]["S"])


def _fact_write(change: Change) -> dict[str, Any]:
    seen, place = change.seen, change.seen.place
    condition = _ABSENT if seen.stored is None else _if_written_by(seen.stored.write_id)
    fact = change.fact
    if fact is None:
        return {"Delete": {"Key": _fact_key(place, seen.key), **condition}}
    item: Item = {
        **_fact_key(place, fact.key),
        "body": {"B": encode_fact(fact)},
        "write_id": {"S": fact.write_id},
    }
    if fact.expires_at is not None:
        item["expires_at"] = items.number(fact.expires_at)
    return {"Put": {"Item": item, **condition}}


def _if_written_by(write_id: str) -> dict[str, Any]:
    return {
        "ConditionExpression": "write_id = :seen",
        "ExpressionAttributeValues": {":seen": {"S": write_id}},
    }


def _shelf_write(change: Change) -> dict[str, Any]:
    seen, after, place = change.seen.shelf, change.shelf, change.seen.place
    condition = _ABSENT if seen == Shelf() else _as_it_was(seen)
    if not after.facts:
        return {"Delete": {"Key": _shelf_key(place), **condition}}
    item: Item = {
        **_shelf_key(place),
        "facts": items.number(after.facts),
        "revision": items.number(after.revision),
    }
    if after.expires_at is not None:
        item["expires_at"] = items.number(after.expires_at)
    return {"Put": {"Item": item, **condition}}


def _as_it_was(shelf: Shelf) -> dict[str, Any]:
    values = {":revision": items.number(shelf.revision), ":facts": items.number(shelf.facts)}
    until = "attribute_not_exists(expires_at)"
    if shelf.expires_at is not None:
        until, values[":until"] = "expires_at = :until", items.number(shelf.expires_at)
    return {
        "ConditionExpression": f"revision = :revision AND facts = :facts AND {until}",
        "ExpressionAttributeValues": values,
    }


def _read_shelf(item: Item) -> Shelf:
    until = int(item["expires_at"]["N"]) if "expires_at" in item else None
    return Shelf(int(item["facts"]["N"]), int(item["revision"]["N"]), until)


def _read(item: Item) -> Fact:
    return decode_fact(
        bytes(item["body"]["B"]),
        key=memory_keys.memory_of(item["sk"]["S"]),
        write_id=item["write_id"]["S"],
        expires_at=int(item["expires_at"]["N"]) if "expires_at" in item else None,
    )
