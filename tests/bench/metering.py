"""Counts what a DynamoDB client sends, and what DynamoDB would bill for it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import Any

from botocore.session import Session

from tests.bench.units import TRANSACTION_FACTOR, Index, Item, read_units, table_units
from tests.contract.store.wire import item_bytes

_READS = frozenset({"GetItem", "Query", "BatchGetItem"})
Key = tuple[str, str]


@dataclass(slots=True)
class Tally:
    """Requests and units of a stretch of a task's life."""

    writes: int = 0
    reads: int = 0
    write_units: int = 0
    index_units: int = 0
    read_units: int = 0
    bytes_written: int = 0

    @property
    def requests(self) -> int:
        """All requests."""
        return self.writes + self.reads

    @property
    def all_write_units(self) -> int:
        """Of the table and of its indexes."""
        return self.write_units + self.index_units

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


class Meter:
    """Follows one client on one table. Nothing may be written outside of phases: `with meter.phase("steps"):`."""

    def __init__(self, client: Any, table: str) -> None:
        self.phases: dict[str, Tally] = {}
        self._now = Tally()
        self._sent: dict[str, Any] = {}
        self._items: dict[Key, Item] = {}
        self._unmetered: Any = Session().create_client("dynamodb")
        self._table = table
        self._indexes = _indexes(self._unmetered, table)
        self._events = client.meta.events

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what happens inside under this name."""
        self._now = self.phases.setdefault(name, Tally())
        self._events.register_first("before-send.dynamodb", self._on_request)
        self._events.register("after-call.dynamodb", self._on_answer)
        yield
        self._events.unregister("before-send.dynamodb", self._on_request)
        self._events.unregister("after-call.dynamodb", self._on_answer)

    def _on_request(self, event_name: str, request: Any, **_: Any) -> None:
        name = event_name.rpartition(".")[2]
        self._sent = json.loads(request.body)
        if name in _READS:
            self._now.reads += 1
        else:
            self._now.writes += 1

    def _on_answer(self, model: Any, parsed: Mapping[str, Any], **_: Any) -> None:
        if model.name == "Query":
            self._now.read_units += read_units(sum(map(item_bytes, parsed["Items"])))
        elif model.name == "GetItem":
            self._now.read_units += read_units(item_bytes(parsed.get("Item", {})))
        elif model.name == "BatchGetItem":
            self._now.read_units += self._batch_units(parsed["Responses"][self._table])
        elif model.name == "TransactWriteItems":
            for write in self._sent["TransactItems"]:
                ((kind, body),) = write.items()
                if kind == "ConditionCheck":
                    self._now.write_units += TRANSACTION_FACTOR * self._checked_units(body)
                else:
                    self._written(body, factor=TRANSACTION_FACTOR)
        else:
            self._written(self._sent, factor=1)

    def _batch_units(self, found: list[Item]) -> int:
        """Each key is read by itself, also one that nothing is found for."""
        asked = len(self._sent["RequestItems"][self._table]["Keys"])
        return asked - len(found) + sum(read_units(item_bytes(item)) for item in found)

    def _checked_units(self, body: Mapping[str, Any]) -> int:
        """A condition costs what writing its item would."""
        place = (body["Key"]["pk"]["S"], body["Key"]["sk"]["S"])
        return table_units(self._items.get(place), None)

    def _written(self, body: Mapping[str, Any], *, factor: int) -> None:
        key = body["Key"] if "Key" in body else {k: body["Item"][k] for k in ("pk", "sk")}
        place = (key["pk"]["S"], key["sk"]["S"])
        found = self._unmetered.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        before, after = self._items.get(place), found["Item"]
        self._items[place] = after
        self._now.write_units += factor * table_units(before, after)
        self._now.index_units += sum(index.units(before, after) for index in self._indexes)
        self._now.bytes_written += item_bytes(after)


def _indexes(client: Any, table: str) -> list[Index]:
    described = client.describe_table(TableName=table)["Table"]
    keys = [part["AttributeName"] for part in described["KeySchema"]]
    found = described.get("GlobalSecondaryIndexes", ())
    return [Index.of_description(index, keys) for index in found]
