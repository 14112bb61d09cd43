"""What steps note of their invocations, for the AWS side of the bill."""

from dataclasses import replace

from ratchet import Agent, Limits, tool
from ratchet.app.admission import Admission, SlotReturn
from ratchet.app.decide_interrupt import DecideInterrupt
from ratchet.contracts.errors import ModelThrottled
from ratchet.contracts.interrupt_api import DecisionRequest
from ratchet.contracts.names import TaskStatus
from ratchet.domain.messages import ToolCall
from ratchet.domain.slots import AdmissionRules
from ratchet.domain.steps import Paused, Runs
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import Outcome, asks, says
from tests.unit.shared.app.world import World


@tool(effect="unsafe")
def pay(amount: int) -> str:
    """Pay somebody."""
    return f"paid {amount}"


@tool(effect="read")
def look() -> str:
    """Look."""
    return "seen"


@tool(effect="read", approval="always")
def peep() -> str:
    """Look at what is private."""
    return "seen"


PEEP = asks(ToolCall("c1", "peep", "{}"))
PAYER = Agent("payer", "Pay.", tools=[pay, look], policy="react", limits=Limits(max_steps=2))
LOOK = asks(ToolCall("c1", "look", "{}"))
BOTH = asks(ToolCall("c1", "pay", '{"amount":5}'), ToolCall("c2", "look", "{}"))


def a_world(*outcomes: Outcome) -> World:
    """Every answer takes three seconds."""
    script = iter(outcomes)

    def answer(_: ModelCall) -> Outcome:
        outcome = next(script)
        if isinstance(outcome, ModelAnswer):
            world.clock.advance(3)
        return outcome

    world = World(PAYER, chat=answer)
    return world


def test_time_and_unsafe_calls_add_up_from_step_to_step() -> None:
    world = a_world(BOTH, says("Paid."))
    ref = world.submitted()
    world.run(ref)

    taken = [record.totals.runs for record in world.steps(ref)]
    assert taken == [Runs(3_000, unsafe_calls=1), Runs(6_000, unsafe_calls=1)]


def test_waits_and_retries_count_with_the_step_that_they_came_before() -> None:
    world = a_world(ModelThrottled("429", 2.0), ModelThrottled("429", 2.0), says("Done."))
    ref = world.submitted()
    state = world.step(world.step(world.first(ref)))
    world.step(state, attempt=2)

    assert world.tip(ref).totals.runs == Runs(3_000, waits=2, retries=2)


def limited(*outcomes: Outcome) -> World:
    """A world whose tenants may run two tasks at once; a task rolls over after every step."""
    agent = Agent("peeper", "Look.", tools=[look, peep], policy="react", cache_ttl_seconds=60)
    world = World(agent, chat=outcomes, steps_per_execution=1)
    admission = Admission(world.memory, world.clock, AdmissionRules(tenant_limit=2))
    world.dispatch = replace(world.dispatch, admission=admission)
    world.announce = replace(world.announce, slots=SlotReturn(admission, world.inbox))
    return world


def test_a_slot_is_noted_when_it_is_taken_and_not_by_every_execution() -> None:
    world = limited(LOOK, PEEP, says("Done."))
    ref = world.submitted()
    asked = world.run(ref)
    assert isinstance(asked.next, Paused)
    world.announce_all(ref)
    decide = DecideInterrupt(world.store, world.inbox, world.outbox, world.clock)
    decide(ref, asked.next.interrupts[0].id, DecisionRequest(decision="approve"))
    world.run(ref)

    told = [record.totals.runs.seats for record in world.steps(ref)]
    assert told == [1, 1, 1, 2, 2]  # the third record is the decision
    assert world.tip(ref).state.generation > 2


def test_nobody_takes_a_slot_where_nothing_is_limited() -> None:
    world = a_world(BOTH, says("Paid."))
    assert world.run(world.submitted()).totals.runs.seats == 0


def test_answers_that_were_looked_for_and_kept_are_noted() -> None:
    world = limited(ModelThrottled("429", 2.0), LOOK, says("Done."))
    first = world.run(world.submitted()).totals.runs
    # The step that waited has looked twice.
    assert (first.cache_reads, first.cache_writes) == (3, 2)
    again = world.run(world.submitted()).totals.runs
    assert (again.cache_reads, again.cache_writes) == (2, 0)


def test_an_end_that_no_model_was_called_for_is_an_idle_run() -> None:
    world = a_world(BOTH, BOTH)
    ref = world.submitted()
    tip = world.run(ref)

    assert tip.state.status is TaskStatus.BUDGET_EXCEEDED
    assert (tip.totals.steps, tip.totals.runs.idle) == (2, 1)


def test_what_people_decide_runs_nothing() -> None:
    world = a_world(BOTH)
    ref = world.submitted()
    world.step(world.first(ref))
    before = world.tip(ref).totals
    world.cancel(ref)

    assert world.tip(ref).totals == before
