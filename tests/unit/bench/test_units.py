"""Write and read units as DynamoDB counts them."""

from typing import Any

import pytest

from tests.bench.units import Index, read_units, table_units

BY_TENANT = Index(("tenant",), frozenset({"tenant", "pk", "status"}))


def item(size: int = 0, **texts: str) -> dict[str, Any]:
    """An item whose attribute `body` makes it so many bytes larger."""
    found: dict[str, Any] = {name: {"S": text} for name, text in texts.items()}
    return found | ({"body": {"B": b"x" * (size - len("body"))}} if size else {})


@pytest.mark.parametrize(("size", "units"), [(5, 1), (1024, 1), (1025, 2), (32_000, 32)])
def test_a_write_costs_one_unit_per_started_kilobyte(size: int, units: int) -> None:
    assert table_units(None, item(size)) == units


def test_an_update_costs_as_much_as_the_larger_of_before_and_after() -> None:
    assert table_units(item(3000), item(100)) == 3
    assert table_units(item(100), item(3000)) == 3
    assert table_units(item(100), None) == 1


@pytest.mark.parametrize(("size", "units"), [(0, 1), (4096, 1), (4097, 2), (40_960, 10)])
def test_a_strong_read_costs_one_unit_per_started_four_kilobytes(size: int, units: int) -> None:
    assert read_units(size) == units


def test_an_item_without_the_keys_of_an_index_is_not_in_it() -> None:
    assert BY_TENANT.units(None, item(pk="1", status="queued")) == 0


def test_entering_and_leaving_an_index_is_a_write_each() -> None:
    inside, outside = item(tenant="a", pk="1"), item(pk="1")
    assert BY_TENANT.units(None, inside) == 1
    assert BY_TENANT.units(inside, outside) == 1


def test_a_change_of_what_an_index_does_not_hold_costs_nothing() -> None:
    assert BY_TENANT.units(item(10, tenant="a", pk="1"), item(900, tenant="a", pk="1")) == 0


def test_a_changed_attribute_is_one_write_and_a_changed_key_two() -> None:
    before = item(tenant="a", pk="1", status="queued")
    assert BY_TENANT.units(before, item(tenant="a", pk="1", status="running")) == 1
    assert BY_TENANT.units(before, item(tenant="b", pk="1", status="queued")) == 2


def test_an_index_is_read_from_the_tables_description() -> None:
    described = {
        "KeySchema": [{"AttributeName": "due"}, {"AttributeName": "due_at"}],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }
    index = Index.of_description(described, ("pk", "sk"))
    assert index == Index(("due", "due_at"), frozenset({"due", "due_at", "pk", "sk"}))
