"""What in-memory ports hold of tenants: found by the keys that DynamoDB and S3 would have, whatever they are for."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from functools import partial
from typing import Any

from ratchet.domain import keys
from ratchet.domain.api_keys import ApiKey
from ratchet.testing.store import InMemoryCheckpoints
from ratchet.testing.store_rows import Partition


class InMemoryHoldings:
    """TenantHoldings over in-memory ports, such as InMemoryCheckpoints and InMemoryApiKeys: each is a place."""

    def __init__(self, *places: object) -> None:
        self._places = places

    def erase(self, tenant: str) -> Mapping[str, int]:
        """Delete what one look finds of the tenant; how many of each kind."""
        deleted: Counter[str] = Counter()
        for delete in self.found(tenant):
            deleted.update(delete())
        return deleted

    def found(self, tenant: str) -> list[Callable[[], list[str]]]:
        """How to delete each thing that there is of the tenant now; each tells the kind of what was left of it."""
        counters = [
            partial(_drop, mapping, tenant)
            for place in self._places
            for mapping in _counters(place)
            if tenant in mapping
        ]
        items = [
            partial(_delete, place, mapping, tenant, key)
            for place in self._places
            for mapping in _mappings(place)
            for key, value in mapping.items()
            if _is_of(tenant, key, value)
        ]
        return [*counters, *items]


def _counters(place: object) -> list[MutableMapping[str, int]]:
    """What is kept by the tenant's name alone. Of slots it is not counted down before: it goes as it is."""
    if not isinstance(place, InMemoryCheckpoints):
        return []
    return [place._of_tenants, place._noted]


def _drop(counters: MutableMapping[str, int], tenant: str) -> list[str]:
    is_there = counters.pop(tenant, None) is not None
    return [keys.kind_of(keys.ADMISSION, keys.SLOTS)] if is_there else []


def _delete(place: object, mapping: MutableMapping[Any, Any], tenant: str, key: Any) -> list[str]:
    value = mapping.pop(key, Partition())
    if isinstance(place, InMemoryCheckpoints):
        _return_slot(place, value)
    return [] if value == Partition() else [_kind(tenant, key, value)]


def _mappings(place: object) -> Iterator[MutableMapping[Any, Any]]:
    return (part for part in vars(place).values() if isinstance(part, MutableMapping))


def _is_of(tenant: str, key: object, value: object) -> bool:
    if isinstance(value, ApiKey):
        return value.tenant == tenant
    first = key[0] if isinstance(key, tuple) else key
    if not isinstance(first, str):
        return False
    prefixes = (f"{keys.tenant_key(tenant)}#", keys.tenant_prefix(tenant))
    return first.startswith(prefixes)


def _kind(tenant: str, key: Any, value: object) -> str:
    if isinstance(value, ApiKey):
        return "apikeys items"
    first = key[0] if isinstance(key, tuple) else key
    if first.startswith(keys.tenant_prefix(tenant)):
        return "bodies"
    return keys.kind_of(first, keys.HEAD)


def _return_slot(place: InMemoryCheckpoints, value: object) -> None:
    """A slot goes with the head that it is a mark on, and so does the place in line."""
    head = value.head if isinstance(value, Partition) else None
    if head is None:
        return
    place._leave_line(head)
    if head.state.slot is not None:
        place._in_shards[head.state.slot] -= 1
        head.state = replace(head.state, slot=None)
