"""DynamoDB: no work that grows with the table, and attributes are answered as they are kept."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from types import SimpleNamespace
from typing import Any

from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb import models
from moto.dynamodb.exceptions import MockValidationException
from moto.dynamodb.models import DynamoDBBackend, Table

from ratchet.local.patches.patch import Patch

_LEAVES = frozenset({"S", "N", "BOOL", "NULL"})
_Undo = tuple[Any, Any, Any, Any]  # table, hash key, range key, the item as it was


@cache
def install() -> list[Patch]:
    """Installs the patches of this module; tests without a local stack want them, too."""
    return [_transactions(), _attributes()]


def _transactions() -> Patch:
    patch = Patch(
        "dynamodb-transactions",
        "every transaction copies the whole table once for each of its items",
    )
    patch.replace(models, "copy", SimpleNamespace(deepcopy=_copied))
    original = vars(DynamoDBBackend)["transact_write_items"]

    def transact_write_items(self: Any, transact_items: Sequence[Mapping[str, Any]]) -> None:
        undo = list(_as_they_are(self, transact_items))
        try:
            original(self, transact_items)
        except Exception:
            for each in undo:
                _put_back(*each)
            raise

    patch.replace(DynamoDBBackend, "transact_write_items", transact_write_items)
    return patch


def _copied(value: Any) -> Any:
    """A transaction's table is not copied. One with a stream is: what is undone must leave no record there."""
    return value if _is_undone_by_item(value) else copy.deepcopy(value)


def _is_undone_by_item(value: Any) -> bool:
    return isinstance(value, Table) and value.stream_shard is None


def _as_they_are(backend: Any, transact_items: Sequence[Mapping[str, Any]]) -> Iterator[_Undo]:
    for operation in (each for item in transact_items for each in item.values()):
        table = backend.tables.get(operation.get("TableName"))
        if not _is_undone_by_item(table):
            continue
        with suppress(MockValidationException, KeyError):  # moto says what is wrong with it
            place = backend.get_keys_value(table, operation.get("Key") or operation["Item"])
            yield table, *place, copy.deepcopy(table.get_item(*place))


def _put_back(table: Any, hash_key: Any, range_key: Any, item: Any) -> None:
    """In moto a table without range keys holds items where others hold the items of a partition."""
    partition, key = (
        (table.items, hash_key) if range_key is None else (table.items[hash_key], range_key)
    )
    if item is None:
        partition.pop(key, None)
    else:
        partition[key] = item


def _attributes() -> Patch:
    patch = Patch("dynamodb-attributes", "every value of an answer is sought under thirty names")
    original = vars(BaseJSONSerializer)["_serialize_type_structure"]

    def serialize(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name != "AttributeValue" or type(value) is not dict or len(value) != 1:
            original(self, serialized, value, shape, key)
            return
        ((kind, content),) = value.items()
        if kind not in _LEAVES:
            value = {}
            self._serialize(value, content, shape.members[kind], kind)
        self._default_serialize(serialized, value, shape, key)

    patch.replace(BaseJSONSerializer, "_serialize_type_structure", serialize)
    return patch
