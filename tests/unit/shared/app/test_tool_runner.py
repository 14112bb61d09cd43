"""An unsafe call behind one of unknown outcome is not made; an attempt before may have made it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ratchet import Agent, tool
from ratchet.app.tool_runner import EffectPending, PlannedCall, ToolResults, ToolRunner
from ratchet.domain.identifiers import tool_call_key
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.models import Usage
from ratchet.domain.steps import StepPlan
from ratchet.ports import Intent
from ratchet.testing.clock import FakeClock
from ratchet.testing.store import InMemoryCheckpoints
from tests.contract.store.samples import task_of

TASK = task_of()
STEP = 1
ALIVE_SECONDS = 300


class Shop:
    """A step that buys and then pays; the attempt before died while it bought, so nobody knows whether it did."""

    def __init__(self, verify: Callable[[], str | None] | None = None) -> None:
        self.clock = FakeClock()
        self.store = InMemoryCheckpoints(self.clock)
        self.store.create_task(TASK, claim=None, due_at_ms=0)
        self.made: list[str] = []
        self.calls = [
            self.planned("buy", None),
            self.planned("pay", verify),
        ]
        self.dead = self.plan("dead")
        self.begun(0)
        self.clock.advance(ALIVE_SECONDS + 1)

    def planned(self, name: str, verify: Callable[[], str | None] | None) -> PlannedCall:
        def make() -> str:
            """Make it."""
            self.made.append(name)
            return f"{name} made"

        make.__name__ = name
        agent = Agent("buyer", "Buy.", tools=[tool(effect="unsafe", verify=verify)(make)])
        return PlannedCall(ToolCall(f"c-{name}", name, "{}"), agent.toolbox[name], {})

    def plan(self, owner: str) -> StepPlan:
        asked = Message("assistant", None, tuple(planned.call for planned in self.calls))
        return StepPlan(owner, asked, "gpt-4o-mini", "preferred", Usage(10, 0, 5), 7)

    def begun(self, place: int, *, result: str | None = None, ok: bool = True) -> None:
        """The dead attempt began this call, and may have noted what came of it."""
        key = tool_call_key(TASK.ref, STEP, place, "")
        dies_at_ms = self.clock.now_ms() + ALIVE_SECONDS * 1000
        intent = Intent("dead", self.calls[place].call.id, dies_at_ms)
        self.store.begin_effect(TASK.ref, self.dead, step=STEP, key=key, intent=intent)
        if result is not None:
            after = Intent("dead", intent.call_id, dies_at_ms, result, ok)
            self.store.end_effect(TASK.ref, step=STEP, key=key, intent=after)

    def run(self) -> ToolResults:
        """The attempt that comes next owns the step's effects."""
        assert self.store.adopt_plan(TASK.ref, self.dead, step=STEP, owner="next")
        plan = replace(self.dead, owner="next")
        runner = ToolRunner(
            self.store, self.clock, TASK, STEP, plan, alive_seconds=lambda: ALIVE_SECONDS
        )
        return runner.run(self.calls)


def heard(results: ToolResults) -> dict[str | None, str | None]:
    return {message.tool_call_id: message.content for message in results.messages}


def test_a_call_that_nobody_began_is_said_not_to_have_been_made() -> None:
    shop = Shop()
    results = shop.run()
    assert [unknown.call_id for unknown in results.unknown] == ["c-buy"]
    assert "not called" in (heard(results)["c-pay"] or "")
    assert [run.ok for run in results.runs] == [False, False]
    assert shop.made == []


@pytest.mark.parametrize("ok", [True, False])
def test_a_call_whose_result_was_noted_gives_that(ok: bool) -> None:
    shop = Shop()
    shop.begun(1, result="paid 5", ok=ok)
    results = shop.run()
    assert heard(results) == {"c-pay": "paid 5"}
    assert results.runs[1].ok is ok
    assert shop.made == []


def test_a_call_that_was_begun_and_cannot_be_looked_up_is_asked_about_too() -> None:
    shop = Shop()
    shop.begun(1)
    shop.clock.advance(ALIVE_SECONDS + 1)
    results = shop.run()
    assert [unknown.call_id for unknown in results.unknown] == ["c-buy", "c-pay"]
    assert heard(results) == {}
    assert shop.made == []


@pytest.mark.parametrize(
    ("verdict", "told", "ok"),
    [
        ("paid, says the bank", "paid, says", True),
        ({"paid": 5}, '{"paid":5}', True),
        (None, "not", False),
    ],
)
def test_a_call_that_was_begun_is_looked_up_and_not_made_whatever_is_found(
    verdict: Any, told: str, ok: bool
) -> None:
    shop = Shop(verify=lambda: verdict)
    shop.begun(1)
    shop.clock.advance(ALIVE_SECONDS + 1)
    results = shop.run()
    assert [unknown.call_id for unknown in results.unknown] == ["c-buy"]
    assert told in (heard(results)["c-pay"] or "")
    assert results.runs[1].ok is ok
    assert shop.made == []


@pytest.mark.parametrize("verdict", [True, False])
def test_a_verdict_without_a_result_leaves_the_call_to_a_person(verdict: Any) -> None:
    shop = Shop(verify=lambda: verdict)
    shop.begun(1)
    shop.clock.advance(ALIVE_SECONDS + 1)
    assert [unknown.call_id for unknown in shop.run().unknown] == ["c-buy", "c-pay"]


def test_while_the_attempt_before_may_still_be_making_the_call_it_is_waited_for() -> None:
    shop = Shop()
    shop.begun(1)
    with pytest.raises(EffectPending) as waited:
        shop.run()
    assert waited.value.seconds == ALIVE_SECONDS
    assert shop.made == []
