"""DynamoDB's arithmetic beyond one item's size: read units, index units, and the units of a whole request.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.contract.store.wire import item_bytes, write_units

Item: TypeAlias = dict[str, Any]
TRANSACTION_FACTOR = 2
"""A transactional write is prepared and committed; its index entries are written once, later."""


@dataclass(frozen=True, slots=True)
class Index:
    """A global secondary index: its own keys, and the names of all attributes that it holds."""

    keys: tuple[str, ...]
    attributes: frozenset[str]

    @classmethod
    def of_description(cls, index: Mapping[str, Any], table_keys: Iterable[str]) -> "Index":
        """From DescribeTable; an index that projects all attributes is not ours."""
        keys = tuple(part["AttributeName"] for part in index["KeySchema"])
        projected = index["Projection"].get("NonKeyAttributes", ())
        return cls(keys, frozenset({*keys, *projected, *table_keys}))

    def entry(self, item: Item | None) -> Item | None:
        """What the index holds of an item; None unless the item has all of its keys."""
        if item is None or any(key not in item for key in self.keys):
            return None
        return {name: value for name, value in item.items() if name in self.attributes}

    def units(self, before: Item | None, after: Item | None) -> int:
        """Write units of the entry's change: a changed key is a delete and a put."""
        old, new = self.entry(before), self.entry(after)
        if old == new:
            return 0
        if old is not None and new is not None and all(old[k] == new[k] for k in self.keys):
            return write_units(max(item_bytes(old), item_bytes(new)))
        return sum(write_units(item_bytes(entry)) for entry in (old, new) if entry is not None)


def table_units(before: Item | None, after: Item | None) -> int:
    """Write units of one write in the table itself: the larger of the item before and after."""
    sizes = [item_bytes(item) for item in (before, after) if item is not None]
    return write_units(max(sizes, default=1))


def read_units(size: int) -> int:
    """Units of a strongly consistent read of so many bytes; reading nothing costs one too."""
    return max(1, -(-size // 4096))
