"""A task is counted in the usage ledger exactly once, whatever its deliverer meets."""

from typing import Any

import pytest

from ratchet import Agent, Confidence, tool
from ratchet.app.account_usage import MAX_RACES, AccountUsage
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.interrupt_api import DecisionRequest
from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.task_api import ForkRequest
from ratchet.domain.keys import task_key
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import Paused, StepRecord
from ratchet.domain.usage import NOTHING, Account, Amounts, Counted, Part
from ratchet.testing.chat import ScriptedChat, asks, says
from tests.unit.shared.app.world import World

PLAN = says('{"plan": ["look"], "complexity": "complex"}')
LOOK = asks(ToolCall("c1", "look", '{"where":"here"}'))
PAY = asks(ToolCall("c2", "pay", "{}"))


@tool(effect="read")
def look(where: str) -> str:
    """Look somewhere."""
    return f"seen {where}"


@tool(effect="unsafe")
def pay() -> str:
    """Pay somebody, without ever knowing whether it worked."""
    raise TimeoutError("no answer")


LOOKER = Agent("looker", "Look around.", tools=[look])
PAYER = Agent("payer", "Pay.", tools=[look, pay], policy="react")


def spent(world: World, account: Account = Account.AGENT) -> Amounts:
    """All that is in the ledger."""
    days: dict[str, Any] = {"first_day": "2020-01-01", "last_day": "2030-01-01"}
    return sum((amounts for _, amounts in world.store.usage("acme", account, **days)), NOTHING)


def by_model(world: World) -> dict[str, int]:
    days: dict[str, Any] = {"first_day": "2020-01-01", "last_day": "2030-01-01"}
    rows = world.store.usage("acme", Account.AGENT, **days)
    return {counter.model: amounts.steps for counter, amounts in rows}


def totals(world: World, *refs: TaskRef) -> Amounts:
    return sum((Amounts.of(world.tip(ref).totals) for ref in refs), NOTHING)


def looked() -> tuple[World, TaskRef]:
    """A task of four steps by three models, at its end; nobody has heard of it."""
    world = World(LOOKER, chat=[PLAN, LOOK, says("I saw it."), says("Seen.")])
    ref = world.submitted(user_id="u-1")
    world.run(ref)
    return world, ref


def test_the_end_of_a_task_counts_all_of_its_steps() -> None:
    world, ref = looked()
    assert spent(world) == NOTHING
    world.announce_all(ref)

    steps = world.steps(ref)
    assert spent(world) == spent(world, Account.USER) == totals(world, ref)
    assert spent(world).cost_microusd == sum(s.result.cost_microusd for s in steps) > 0
    assert by_model(world) == {"o3-mini": 1, "gpt-4o": 2, "o3": 1}


def test_a_step_that_asked_two_models_counts_under_both() -> None:
    doubting = Agent("doubting", "Help.", policy="react", check=lambda _: Confidence.LOW)
    world = World(doubting, chat=[says("A guess."), says("Surely.")])
    ref = world.submitted()
    world.run(ref)
    world.announce_all(ref)

    (step,) = world.steps(ref)
    days: dict[str, Any] = {"first_day": "2020-01-01", "last_day": "2030-01-01"}
    found = {c.model: a for c, a in world.store.usage("acme", Account.AGENT, **days)}
    (other,) = step.result.others
    assert found[other.model] == Amounts(0, other.usage, other.cost_microusd)
    assert found.keys() == {"gpt-4o-mini", "gpt-4o"}
    assert sum(found.values(), NOTHING) == totals(world, ref) == spent(world, Account.USER)


def test_a_second_delivery_counts_nothing() -> None:
    world, ref = looked()
    for _ in range(3):
        world.announce_all(ref)

    assert spent(world) == totals(world, ref)


def test_a_failed_announcement_does_not_keep_the_ledger_waiting() -> None:
    world, ref = looked()
    world.sns.fail()
    world.announce_all(ref)
    assert spent(world) == totals(world, ref)

    world.clock.advance(10)
    world.announce_all(ref)
    assert len(world.sns.delivered) == 1
    assert spent(world) == totals(world, ref)


def test_when_the_ledger_does_not_answer_the_outcome_is_announced_and_the_message_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, ref = looked()
    with monkeypatch.context() as patch:
        patch.setattr(world.memory, "count", _unavailable)
        with pytest.raises(StoreUnavailable):
            world.announce_all(ref)
    assert len(world.sns.delivered) == 1
    assert ref in world.due()

    world.announce_all(ref)
    assert len(world.sns.delivered) == 1
    assert spent(world) == totals(world, ref)


def test_an_answer_that_was_lost_counts_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    world, ref = looked()
    count = world.memory.count

    def lost(ref: TaskRef, part: Part) -> bool:
        count(ref, part)
        raise StoreUnavailable("the answer did not come")

    with monkeypatch.context() as patch:
        patch.setattr(world.memory, "count", lost)
        with pytest.raises(StoreUnavailable):
            world.announce_all(ref)
    world.announce_all(ref)

    assert spent(world) == totals(world, ref)


def test_a_resumed_task_counts_only_what_it_has_done_since() -> None:
    world = World(LOOKER, chat=[PLAN, LOOK, says("I saw it."), says("Seen.")])
    ref = world.submitted()
    state = world.step(world.step(world.first(ref)))
    world.step(state, failure="out of memory")
    world.announce_all(ref)
    before = spent(world)
    assert before == totals(world, ref) != NOTHING

    world.resume(ref)
    world.run(ref)
    world.announce_all(ref)
    assert world.tip(ref).state.status is TaskStatus.SUCCEEDED
    assert spent(world) == totals(world, ref)
    assert spent(world).steps > before.steps


def test_an_end_that_nobody_counted_counts_with_the_next() -> None:
    world = World(LOOKER, chat=[PLAN, LOOK, says("I saw it."), says("Seen.")])
    ref = world.submitted()
    world.step(world.step(world.first(ref)), failure="out of memory")
    world.resume(ref)
    world.announce_all(ref)
    assert spent(world) == NOTHING  # it runs again

    world.run(ref)
    world.announce_all(ref)
    assert spent(world) == totals(world, ref)


def test_a_task_that_asks_a_person_is_counted_so_far() -> None:
    world = World(PAYER, chat=[LOOK, PAY, says("Paid.")])
    ref = world.submitted()
    tip = world.run(ref)
    assert isinstance(tip.next, Paused)
    world.announce_all(ref)
    asked = spent(world)
    assert asked == totals(world, ref)
    assert asked.steps == 2

    world.decide(ref, tip.next.interrupts[0].id, DecisionRequest(answer="happened"))
    world.run(ref)
    world.announce_all(ref)
    assert spent(world) == totals(world, ref)
    assert spent(world).steps == 3


def test_a_cancelled_task_counts_what_it_had_spent() -> None:
    world = World(LOOKER, chat=[PLAN])
    ref = world.submitted()
    world.step(world.first(ref))
    world.cancel(ref)
    world.announce_all(ref)
    assert spent(world) == totals(world, ref)
    assert spent(world).steps == 1


def test_a_task_that_spent_nothing_leaves_no_mark() -> None:
    world = World(LOOKER)
    ref = world.submitted()
    world.cancel(ref)
    world.announce_all(ref)

    assert spent(world) == NOTHING
    assert world.store.counted(ref) == Counted()


def test_a_fork_counts_its_own_steps_only() -> None:
    world, ref = looked()
    world.announce_all(ref)
    world.chat = ScriptedChat([says("Seen again.")] * 4)
    fork = world.fork(ref, ForkRequest(step=3), idempotency_key=None).task.ref
    world.run(fork)
    world.announce_all(fork)
    assert world.tip(fork).totals.steps < world.tip(ref).totals.steps
    assert spent(world) == totals(world, ref, fork)


def test_a_delivery_that_was_overtaken_counts_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one has counted the first steps between this one's look and its write."""
    world, ref = looked()
    steps = world.steps(ref)
    tip = world.tip(ref)
    count = world.memory.count
    overtaken = iter([True])

    def late(ref: TaskRef, part: Part) -> bool:
        if next(overtaken, False):
            assert count(ref, _first_two(steps, part))
        return count(ref, part)

    monkeypatch.setattr(world.memory, "count", late)
    AccountUsage(world.store)(tip)
    assert spent(world) == totals(world, ref)


def test_deliveries_that_always_come_first_send_the_message_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, ref = looked()
    tries: list[Part] = []

    def refused(_ref: TaskRef, part: Part) -> bool:
        tries.append(part)
        return False

    monkeypatch.setattr(world.memory, "count", refused)
    with pytest.raises(StoreUnavailable):
        AccountUsage(world.store)(world.tip(ref))
    assert len(tries) == MAX_RACES


def test_money_counts_although_the_steps_that_spent_it_are_gone() -> None:
    world, ref = looked()
    del world.memory._partitions[task_key(ref)].steps[2]
    world.announce_all(ref)
    world.announce_all(ref)

    assert spent(world) == spent(world, Account.USER) == totals(world, ref)
    assert by_model(world) == {"": 4}


def test_nothing_is_counted_of_a_task_whose_retention_is_over() -> None:
    world, ref = looked()
    tip = world.tip(ref)
    world.clock.advance(TERMINAL_RETENTION_SECONDS + 1)
    AccountUsage(world.store)(tip)

    assert spent(world) == NOTHING


def _unavailable(_ref: TaskRef, _part: Part) -> bool:
    raise StoreUnavailable("throttled")


def _first_two(steps: tuple[StepRecord, ...], part: Part) -> Part:
    """The first two steps as a part of their own."""
    amounts = Amounts.of(steps[1].totals)
    return Part(Counted(), Counted(2, amounts), {next(iter(part.counters)): amounts})
