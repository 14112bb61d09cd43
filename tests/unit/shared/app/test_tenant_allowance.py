"""Tasks under their tenant's daily cap: what they draw, when they write, and what they give back."""

import json
from typing import Any

import pytest

from ratchet import Agent, tool
from ratchet.contracts.errors import AttemptSuperseded, ModelRejected
from ratchet.contracts.limits import MAX_RESTARTS
from ratchet.contracts.messages import Allowance, StepOutput, TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.domain.allowance import Move, day_of
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import End
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import asks, says
from tests.unit.shared.app.world import World


@tool(effect="read")
def look(n: int) -> str:
    """Look somewhere."""
    return f"seen {n}"


class Died(BaseException):
    """The sandbox is gone."""


def dies(_: ModelCall) -> ModelAnswer:
    raise Died


LOOP = Agent("loop", "Help.", tools=[look], policy="react")


def looks(times: int) -> list[Any]:
    calls = [asks(ToolCall("c1", "look", json.dumps({"n": n}))) for n in range(times)]
    return [*calls, says("Done.")]


def given(world: World) -> int:
    return world.budgets.given_microusd("acme", day_of(world.clock.now_ms()))


def counted(world: World) -> list[str]:
    """The requests to the tenant's budget, as they come."""
    calls: list[str] = []

    def watch(name: str) -> None:
        method = getattr(world.budgets, name)

        def call(*args: Any) -> Any:
            calls.append(name)
            return method(*args)

        setattr(world.budgets, name, call)

    watch("allowance")
    watch("move")
    return calls


def failure(world: World, ref: TaskRef) -> str:
    end = world.tip(ref).next
    assert isinstance(end, End)
    assert end.failure is not None
    return end.failure.code


def test_a_tenant_without_a_cap_costs_no_request() -> None:
    world = World(LOOP, chat=looks(3), tenant_caps="other=1")
    calls = counted(world)
    ref = world.submitted()
    world.run(ref)
    world.announce_all(ref)
    assert calls == []


def test_a_block_lasts_for_many_steps_and_its_rest_goes_back_at_the_end() -> None:
    world = World(LOOP, chat=looks(30), tenant_caps="*=50")
    calls = counted(world)
    ref = world.submitted()
    tip = world.run(ref)
    assert tip.totals.steps == 31
    assert calls == ["move"]
    assert given(world) > tip.totals.cost_microusd
    world.announce_all(ref)
    world.announce_all(ref)
    assert given(world) == tip.totals.cost_microusd


def test_a_task_that_finds_the_day_spent_ends_with_what_it_has_and_can_go_on_tomorrow() -> None:
    world = World(LOOP, chat=looks(1), tenant_caps="acme=0.006")
    other = Move(None, Allowance(day_of(world.clock.now_ms()), 6_000, "a"), 6_000)
    world.budgets.move(TaskRef("acme", "other"), other)
    ref = world.submitted()
    tip = world.run(ref)
    assert tip.state.status is TaskStatus.BUDGET_EXCEEDED
    assert failure(world, ref) == "tenant_daily_cap"
    assert world.chat.calls == []
    world.clock.advance(24 * 3600)
    world.resume(ref)
    assert world.run(ref).state.status is TaskStatus.SUCCEEDED


def test_a_cheaper_model_is_asked_when_the_day_does_not_pay_for_the_preferred_one() -> None:
    world = World(LOOP, chat=looks(0), tenant_caps="acme=0.01")
    ref = world.submitted(complexity="complex")
    world.run(ref)
    result = world.steps(ref)[0].result
    assert result.model == "gpt-4o-mini"
    assert result.reason == (
        "cheaper than gpt-4o, which the rest of tenant_daily_cap does not pay for"
    )


def test_a_resumed_task_takes_over_what_it_was_given_so_that_its_end_gives_nothing_back() -> None:
    world = World(LOOP, chat=looks(3), tenant_caps="*=50")
    ref = world.submitted(limits={"max_steps": 2})
    world.run(ref)
    before = world.budgets.allowance(ref)
    world.resume(ref)
    state = world.step(world.first(ref))
    after = world.budgets.allowance(ref)
    assert before is not None
    assert after is not None
    assert (after.ceiling_microusd, after.owner == before.owner) == (before.ceiling_microusd, False)
    assert state.step.allowance == after


def test_a_task_that_was_ended_from_outside_keeps_its_rest_for_the_day() -> None:
    world = World(LOOP, chat=looks(3), tenant_caps="*=50")
    ref = world.submitted()
    world.step(world.first(ref))
    drawn = given(world)
    world.cancel(ref)
    world.announce_all(ref)
    assert given(world) == drawn


def test_a_task_whose_first_call_is_refused_keeps_nothing() -> None:
    world = World(LOOP, chat=lambda _: ModelRejected("no such key"), tenant_caps="*=50")
    ref = world.submitted()
    world.run(ref)
    assert given(world) > 0
    world.announce_all(ref)
    assert (failure(world, ref), given(world)) == ("model_rejected", 0)


def test_a_task_whose_sandboxes_died_keeps_what_their_calls_may_have_cost() -> None:
    world = World(LOOP, chat=dies, tenant_caps="*=50")
    ref = world.submitted()
    state = world.first(ref)
    for attempt in range(3):
        with pytest.raises(Died):
            world.step(state, attempt=attempt)
    world.step(state, attempt=3, failure="Lambda.Unknown: out of memory")
    drawn = given(world)
    world.announce_all(ref)
    spent = world.tip(ref).totals.cost_microusd
    assert failure(world, ref) == "execution_failed"
    assert drawn > given(world) == spent > 0


def test_a_task_that_the_sweeper_gave_up_keeps_its_rest_for_the_day() -> None:
    world = World(LOOP, chat=dies, tenant_caps="*=50")
    ref = world.submitted()
    with pytest.raises(Died):
        world.step(world.first(ref))
    drawn = given(world)
    for generation in range(1, MAX_RESTARTS + 2):
        world.workflow.kill(ref, generation, cause="aborted")
        world.sweep.reconcile(ref)
    world.announce_all(ref)
    assert (failure(world, ref), given(world)) == ("execution_failed", drawn)


def test_an_attempt_that_does_not_know_of_a_draw_learns_of_it_when_it_draws() -> None:
    world = World(LOOP, chat=looks(1), tenant_caps="*=50")
    state = world.first(world.submitted())
    day = day_of(world.clock.now_ms())
    world.budgets.move(state.task, Move(None, Allowance(day, 9_000_000, "a"), 9_000_000))
    done = world.step(state)
    assert done.step.allowance == Allowance(day, 9_000_000, "a")


def test_attempts_that_keep_drawing_before_this_one_supersede_it() -> None:
    world = World(LOOP, chat=looks(1), tenant_caps="*=50")
    state: StepOutput = world.first(world.submitted())
    others = iter(range(1_000))
    world.budgets.move = lambda *_: Allowance("2020-01-01", next(others), "b")  # type: ignore[method-assign]
    with pytest.raises(AttemptSuperseded, match="keep drawing"):
        world.step(state)
