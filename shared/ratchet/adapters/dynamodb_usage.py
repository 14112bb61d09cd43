"""The usage ledger: counters that only ever add up, and a marker with each task that says how far it is in them.

A part of a task is one transaction of its counters and its marker. The marker moves on only from where it was seen, so
no part is added twice. Counters are never part of a live task, so TTL may have them from the start.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ratchet.adapters.dynamodb_items import key, number
from ratchet.adapters.dynamodb_table import Item, Refused, Table
from ratchet.contracts.limits import USAGE_RETENTION_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.domain import keys
from ratchet.domain.models import Usage
from ratchet.domain.usage import Account, Amounts, Counted, Counter, Part, Row

_NAMES = ("steps", "input", "cached", "output", "reasoning", "cache_write", "cost_microusd")


class DynamoDbUsage:
    """The UsageLedger on AWS."""

    _table: Table

    def counted(self, ref: TaskRef) -> Counted:
        """How far the task has been counted."""
        marker = self._table.get(_marker_key(ref))
        if marker is None:
            return Counted()
        return Counted(int(marker["counted"]["N"]), _read_amounts(marker))

    def count(self, ref: TaskRef, part: Part) -> bool:
        """Add a part of a task to the counters, atomically with the note that it is; False if it does not follow."""
        counters = [_added(ref, counter, amounts) for counter, amounts in part.counters.items()]
        try:
            self._table.transact({"Put": _moved(ref, part)}, *({"Update": c} for c in counters))
        except Refused:
            return False
        return True

    def usage(
        self, tenant: str, account: Account, *, first_day: str, last_day: str
    ) -> Iterator[Row]:
        """What was counted on these days, in no order; a counter may come more than once (eventually consistent)."""
        first, last = keys.usage_range(account, first_day=first_day, last_day=last_day)
        for partition in keys.usage_partitions(tenant, first_day=first_day, last_day=last_day):
            request = {
                "KeyConditionExpression": "pk = :pk AND sk BETWEEN :first AND :last",
                "ExpressionAttributeValues": {
                    ":pk": {"S": partition},
                    ":first": {"S": first},
                    ":last": {"S": last},
                },
            }
            for page in self._table.query(request):
                for item in page["Items"]:
                    yield keys.counter_of(item["sk"]["S"]), _read_amounts(item)


def _marker_key(ref: TaskRef) -> Item:
    return key(keys.task_key(ref), keys.COUNTED)


def _moved(ref: TaskRef, part: Part) -> Mapping[str, Any]:
    """The marker, if it stands where the part begins."""
    put: dict[str, Any] = {
        "Item": {
            **_marker_key(ref),
            "counted": number(part.after.number),
            **_write_amounts(part.after.amounts),
        },
        "ConditionExpression": "attribute_not_exists(pk)",
    }
    if part.before.number:
        put["ConditionExpression"] = "counted = :seen"
        put["ExpressionAttributeValues"] = {":seen": number(part.before.number)}
    return put


def _added(ref: TaskRef, counter: Counter, amounts: Amounts) -> Mapping[str, Any]:
    added = _write_amounts(amounts)
    end_of_day = datetime.fromisoformat(counter.day).replace(tzinfo=UTC).timestamp() + 24 * 3600
    return {
        "Key": key(keys.usage_key(ref, counter.day), keys.usage_sort_key(counter)),
        "UpdateExpression": "SET expires_at = :expires_at ADD "
        + ", ".join(f"#{name} :{name}" for name in added),
        "ExpressionAttributeNames": {f"#{name}": name for name in added},
        "ExpressionAttributeValues": {
            ":expires_at": number(int(end_of_day) + USAGE_RETENTION_SECONDS),
            **{f":{name}": value for name, value in added.items()},
        },
    }


def _write_amounts(amounts: Amounts) -> Item:
    """What is not 0, of which there is something: nothing is not counted."""
    usage = amounts.usage
    values = (
        amounts.steps,
        usage.input_tokens,
        usage.cached_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        usage.cache_write_tokens,
        amounts.cost_microusd,
    )
    return {name: number(value) for name, value in zip(_NAMES, values, strict=True) if value}


def _read_amounts(item: Item) -> Amounts:
    steps, *usage, cost = (int(item[name]["N"]) if name in item else 0 for name in _NAMES)
    return Amounts(steps, Usage(*usage), cost)
