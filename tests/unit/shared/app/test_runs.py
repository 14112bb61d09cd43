"""What steps note of their invocations, for the AWS side of the bill."""

from ratchet import Agent, Limits, tool
from ratchet.contracts.errors import ModelThrottled
from ratchet.contracts.names import TaskStatus
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import Runs
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


PAYER = Agent("payer", "Pay.", tools=[pay, look], policy="react", limits=Limits(max_steps=2))
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
