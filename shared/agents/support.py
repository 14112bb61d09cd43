"""Example: looks up orders and refunds them; a refund is unsafe, so it is called at most once.

The shop is made up. Orders come from `orders.json`, and appending a line to a ledger file stands in
for the payment API of a real shop: on Lambda that file is in /tmp and goes away with the sandbox.
"""

import fcntl
import functools
import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from pydantic import BaseModel, Field

from ratchet import Agent, Limits, ToolContext, tool

ORDERS = Path(__file__).parent / "orders.json"
LEDGER_VARIABLE = "RATCHET_EXAMPLE_LEDGER"


class Resolution(BaseModel):
    """What the agent returns."""

    resolution: str = Field(description="What was found and done, in words for the customer.")
    order_id: str = Field(description="The order that the request was about.")
    refunded_usd: float = Field(description="What was refunded now; 0 if nothing was.")


class RefundRefused(ValueError):
    """The shop's rules do not allow the refund; the message tells the model why."""


def ledger_path() -> Path:
    """Where refunds are booked: the file that RATCHET_EXAMPLE_LEDGER names, or a temporary one."""
    default = Path(tempfile.gettempdir()) / "ratchet-example-refunds.jsonl"
    return Path(os.environ.get(LEDGER_VARIABLE) or default)


@tool(effect="read")
def lookup_order(order_id: str) -> dict[str, Any]:
    """Look up an order by its id, such as A-1001: customer, items, status, total and refunds."""
    order = _order(order_id)
    booked = sum(float(r["amount_usd"]) for r in _refunds() if r["order_id"] == order_id)
    return {**order, "refunded_usd": order["refunded_usd"] + booked}


@tool(effect="unsafe")
def refund(order_id: str, amount_usd: float, context: ToolContext) -> dict[str, Any]:
    """Refund at most the total of a delivered order that has not been refunded yet."""
    # An example's stand-in for a payment API, which would get `context.idempotency_key` too.
    order = _order(order_id)
    with _open_ledger() as ledger:
        booked = [json.loads(line) for line in ledger]
        for earlier in booked:
            if earlier["idempotency_key"] == context.idempotency_key:
                # Booked, so to the customer nothing happens; the line shows that it was asked for again.
                ledger.write(json.dumps({**earlier, "amount_usd": 0.0, "repeated": True}) + "\n")
                return _receipt(earlier)
        _check(order, amount_usd, booked=booked)
        entry = {
            "idempotency_key": context.idempotency_key,
            "order_id": order_id,
            "amount_usd": amount_usd,
            "tenant": context.tenant,
            "task_id": context.task_id,
        }
        ledger.write(json.dumps(entry) + "\n")
    return _receipt(entry)


support = Agent(
    name="support",
    description="Looks up orders and refunds them within the shop's rules.",
    instructions="""\
You resolve customers' requests about their orders.

- Look up the order before you decide anything about it.
- Refund only what the customer asks for: delivered orders, up to their total, once.
- When a refund is refused, do not try another amount: explain why.
- Say what you did and what you did not do. Never claim a refund that no tool confirmed.""",
    tools=[lookup_order, refund],
    output=Resolution,
    limits=Limits(max_steps=20, max_cost_usd=0.50, deadline_seconds=900),
)


@functools.cache
def _orders() -> dict[str, dict[str, Any]]:
    return {order["order_id"]: order for order in json.loads(ORDERS.read_text(encoding="utf-8"))}


def _order(order_id: str) -> dict[str, Any]:
    order = _orders().get(order_id)
    if order is None:
        raise LookupError(f"no order {order_id!r}; ids look like A-1001")
    return order


def _check(order: dict[str, Any], amount_usd: float, *, booked: list[dict[str, Any]]) -> None:
    order_id, total = order["order_id"], order["total_usd"]
    if order["status"] != "delivered":
        raise RefundRefused(f"{order_id} is {order['status']}; only delivered orders are refunded")
    if order["refunded_usd"] or any(entry["order_id"] == order_id for entry in booked):
        raise RefundRefused(f"{order_id} has been refunded already")
    if not math.isfinite(amount_usd) or amount_usd <= 0:
        raise RefundRefused("the amount must be above 0")
    if amount_usd > total:
        raise RefundRefused(f"${amount_usd:.2f} is more than the order's total of ${total:.2f}")


def _receipt(entry: dict[str, Any]) -> dict[str, Any]:
    receipt = f"R-{entry['idempotency_key'][:10]}"
    booked = {name: entry[name] for name in ("order_id", "amount_usd")}
    return {"refunded": True, "receipt": receipt, **booked}


def _refunds() -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in ledger_path().read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []


@contextmanager
def _open_ledger() -> Iterator[TextIO]:
    """The ledger from its beginning, to this process alone: tasks run beside each other."""
    with ledger_path().open("a+", encoding="utf-8") as ledger:
        fcntl.flock(ledger, fcntl.LOCK_EX)
        ledger.seek(0)
        yield ledger
