"""A task that people approve, edit, refuse and answer for, on the twin and on DynamoDB."""

import pytest

from ratchet import Agent, tool
from ratchet.contracts.interrupt_api import DecisionRequest
from ratchet.contracts.limits import INTERRUPT_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.request_errors import InterruptDecided
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import Interrupt, Paused
from ratchet.testing.chat import asks, says
from tests.contract.store.benches import Bench
from tests.unit.shared.app.world import World

LARGE = "x" * 40_000
APPROVE = DecisionRequest(decision="approve")
REJECT = DecisionRequest(decision="reject", reason="no")


class Shop:
    """An agent that asks for three payments and a colour at once."""

    def __init__(self, bench: Bench) -> None:
        self.paid: list[tuple[int, str]] = []

        @tool(effect="unsafe", approval="always")
        def pay(amount: int, note: str = "") -> str:
            """Pay."""
            self.paid.append((amount, note))
            return "paid"

        agent = Agent("shop", "Pay.", tools=[pay], policy="react", ask_human=True)
        calls = [ToolCall(f"c{n}", "pay", f'{{"amount": {n}}}') for n in (1, 2, 3)]
        calls.append(ToolCall("q", "ask_human", '{"question": "Which colour?"}'))
        self.world = World(
            agent, chat=[asks(*calls), says("Done.")], kept=(bench.store, bench.clock)
        )

    def asked(self) -> tuple[TaskRef, list[Interrupt]]:
        ref = self.world.submitted()
        following = self.world.run(ref).next
        assert isinstance(following, Paused)
        return ref, list(following.interrupts)


def test_each_is_decided_once_and_what_was_approved_is_made(bench: Bench) -> None:
    shop = Shop(bench)
    ref, asked = shop.asked()
    edit = DecisionRequest(decision="edit", arguments={"amount": 20, "note": LARGE})
    answer = DecisionRequest(answer="Blue.")
    for interrupt, request in zip(asked, (APPROVE, edit, REJECT, answer), strict=True):
        shop.world.decide(ref, interrupt.id, request, by="key:acme")
        shop.world.decide(ref, interrupt.id, request, by="key:other")
        with pytest.raises(InterruptDecided):
            shop.world.decide(
                ref,
                interrupt.id,
                DecisionRequest(answer="reject" if request is APPROVE else "approve"),
            )
    assert shop.world.run(ref).state.status is TaskStatus.SUCCEEDED
    assert shop.paid == [(1, ""), (20, LARGE)]
    decisions = [r.result.decision for r in shop.world.steps(ref) if r.result.decision]
    assert [(d.answer, d.by) for d in decisions] == [
        (answer, "key:acme") for answer in ("approve", "edit", "reject", "Blue.")
    ]


def test_what_nobody_decides_is_closed(bench: Bench) -> None:
    shop = Shop(bench)
    ref, asked = shop.asked()
    shop.world.decide(ref, asked[1].id, APPROVE)
    bench.clock.advance(INTERRUPT_SECONDS + 61)
    shop.world.sweep()
    assert shop.world.run(ref).state.status is TaskStatus.SUCCEEDED
    assert shop.paid == [(2, "")]


def test_cancelled_with_open_questions_it_has_ended(bench: Bench) -> None:
    shop = Shop(bench)
    ref, _ = shop.asked()
    shop.world.cancel(ref)
    assert shop.world.tip(ref).state.status is TaskStatus.CANCELLED
    assert len(shop.world.steps(ref)[-1].result.messages) == 4
    assert shop.paid == []
