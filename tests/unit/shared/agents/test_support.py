import json
from pathlib import Path

import pytest

from agents.support import (
    LEDGER_VARIABLE,
    RefundRefused,
    Resolution,
    ledger_path,
    lookup_order,
    refund,
    support,
)
from ratchet import ToolContext


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "refunds.jsonl"
    monkeypatch.setenv(LEDGER_VARIABLE, str(path))
    return path


def context(key: str = "key-1") -> ToolContext:
    return ToolContext(tenant="acme", task_id="task_1", user_id=None, idempotency_key=key)


def test_order_is_found_by_its_id() -> None:
    order = lookup_order("A-1001")

    assert order["status"] == "delivered"
    assert order["total_usd"] == 49.9
    assert order["refunded_usd"] == 0


def test_unknown_order_says_what_ids_look_like() -> None:
    with pytest.raises(LookupError, match="A-1001"):
        lookup_order("1001")


def test_refund_is_booked_with_its_idempotency_key(ledger: Path) -> None:
    receipt = refund("A-1001", 49.9, context())

    assert receipt == {
        "refunded": True,
        "receipt": "R-key-1",
        "order_id": "A-1001",
        "amount_usd": 49.9,
    }
    assert [json.loads(line) for line in ledger.read_text().splitlines()] == [
        {
            "idempotency_key": "key-1",
            "order_id": "A-1001",
            "amount_usd": 49.9,
            "tenant": "acme",
            "task_id": "task_1",
        }
    ]
    assert lookup_order("A-1001")["refunded_usd"] == 49.9


def test_same_key_again_books_nothing_and_gives_the_same_receipt(ledger: Path) -> None:
    assert refund("A-1001", 49.9, context()) == refund("A-1001", 49.9, context())
    booked, repeated = map(json.loads, ledger.read_text().splitlines())
    assert (booked["amount_usd"], "repeated" in booked) == (49.9, False)
    assert (repeated["amount_usd"], repeated["repeated"]) == (0.0, True)
    assert lookup_order("A-1001")["refunded_usd"] == 49.9


@pytest.mark.parametrize(
    ("order_id", "amount", "reason"),
    [
        ("A-1001", 49.91, "more than the order's total of \\$49.90"),
        ("A-1001", 0.0, "above 0"),
        ("A-1001", -1.0, "above 0"),
        ("A-1001", float("nan"), "above 0"),
        ("A-1001", float("inf"), "above 0"),
        ("A-1002", 1.0, "shipped; only delivered orders"),
        ("A-1003", 1.0, "refunded already"),
    ],
)
def test_refund_outside_the_rules_is_refused_and_not_booked(
    ledger: Path, order_id: str, amount: float, reason: str
) -> None:
    with pytest.raises(RefundRefused, match=reason):
        refund(order_id, amount, context())
    assert ledger.read_text() == ""


def test_second_refund_of_an_order_is_refused() -> None:
    refund("A-1007", 20.0, context("first"))

    with pytest.raises(RefundRefused, match="refunded already"):
        refund("A-1007", 20.0, context("second"))


def test_without_the_variable_the_ledger_is_a_temporary_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(LEDGER_VARIABLE)

    assert ledger_path().name == "ratchet-example-refunds.jsonl"


def test_tools_as_the_model_meets_them() -> None:
    tool = support.toolbox["refund"]

    assert tool.effect == "unsafe"
    assert not tool.parallel
    arguments = tool.parse('{"order_id": "A-1004", "amount_usd": 33}')
    assert json.loads(tool.call(arguments, context()))["refunded"] is True
    assert support.output is Resolution
