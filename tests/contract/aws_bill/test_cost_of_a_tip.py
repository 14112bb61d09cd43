"""What the last step of a task tells of its AWS side, held to what the task really did on DynamoDB and the machine."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from cdk.components.asl import definition
from ratchet import Agent, tool
from ratchet.contracts.errors import ModelThrottled
from ratchet.contracts.messages import StepOutput, TaskRef
from ratchet.contracts.names import Action
from ratchet.domain.aws_bill import Bill, Resource
from ratchet.domain.messages import ToolCall
from ratchet.domain.task_bill import WRITE_UNITS_COUNT_MODEL
from ratchet.domain.task_cost import aws_side
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import asks, says
from tests.bench.agent_loop import ROUTING
from tests.bench.metering import Meter, Tally
from tests.bench.transitions import transitions
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import DynamoDbBench
from tests.unit.shared.app.world import World

MACHINE = definition(ROUTING, step_timeout_seconds=300)
STEP_SECONDS = 3


@tool(effect="unsafe")
def pay(amount: int) -> str:
    """Pay somebody."""
    return f"paid {amount}"


@tool(effect="read")
def look(where: str) -> str:
    """Look somewhere."""
    return f"seen {where}"


AGENT = Agent("payer", "Pay.", tools=[pay, look], policy="react")
PAY = asks(ToolCall("c2", "pay", '{"amount":5}'))


def look_at(place: int) -> ModelAnswer:
    """Each elsewhere: an agent that repeats itself is sent to another model, which has a counter of its own."""
    return asks(ToolCall("c1", "look", f'{{"where":"{place}"}}'))


@dataclass
class Lived:
    """A task that was run to its end, and what was counted on the way."""

    bill: Bill
    tally: Tally
    executions: list[list[StepOutput]] = field(default_factory=list)
    runs: int = 0

    def quantity(self, resource: Resource) -> int:
        return sum(line.quantity for line in self.bill.lines if line.resource is resource)

    @property
    def transitions(self) -> int:
        return sum(transitions(MACHINE, states) for states in self.executions)


@pytest.fixture
def bench() -> Iterator[DynamoDbBench]:
    with mocked_aws():
        bench = DynamoDbBench()
        yield bench
        bench.close()


def live(
    bench: DynamoDbBench, *answers: ModelAnswer | ModelThrottled, steps_per_execution: int = 500
) -> Lived:
    """Run a task that gets these answers; every step in a fresh sandbox, and all of it counted."""
    script = iter(answers)

    def answer(_: ModelCall) -> ModelAnswer | ModelThrottled:
        found = next(script)
        if isinstance(found, ModelAnswer):
            bench.clock.advance(STEP_SECONDS)
        return found

    world = World(
        AGENT,
        chat=answer,
        kept=(bench.store, bench.clock),
        steps_per_execution=steps_per_execution,
    )
    meter = Meter(bench.client, bench.table)
    lived = Lived(Bill(), Tally())
    with meter.phase("all"):
        ref = world.submitted()
        follow(world, ref, lived)
        world.announce_all(ref)
    lived.bill, lived.tally = aws_side(world.tip(ref)), meter.phases["all"]
    return lived


def follow(world: World, ref: TaskRef, lived: Lived) -> None:
    """The task's executions, state by state."""
    state = world.first(ref)
    lived.executions.append([state])
    while state.action is not Action.FINISH:
        if state.action is Action.ROLL_OVER:
            state = world.first(ref)
            lived.executions.append([state])
        lived.runs += 1
        state = world.step(state)
        lived.executions[-1].append(state)


@pytest.mark.parametrize("looks", [0, 1, 7])
def test_a_quiet_task_costs_what_was_counted(bench: DynamoDbBench, looks: int) -> None:
    lived = live(bench, *[look_at(n) for n in range(looks)], says("Done."))

    assert lived.quantity(Resource.WRITE_UNITS) == lived.tally.all_write_units
    assert lived.quantity(Resource.TRANSITIONS) == lived.transitions
    # The formula takes steps to be as large as PERF.md's, which are larger than these.
    read = lived.tally.read_units - len(lived.executions)  # `first` looks at the task too
    assert read <= lived.quantity(Resource.READ_UNITS) <= read * 1.5
    time = lived.quantity(Resource.ARM_TIME)
    others_ms = 100 * (512 + 3 * 256)  # api; authorizer, dispatcher, deliverer
    assert time == 512 * 1000 * STEP_SECONDS * (looks + 1) + others_ms


def test_each_further_model_is_a_counter_that_the_estimate_leaves_out(bench: DynamoDbBench) -> None:
    lived = live(bench, *[look_at(1)] * 4, says("Done."))

    missing = lived.tally.all_write_units - lived.quantity(Resource.WRITE_UNITS)
    assert missing == WRITE_UNITS_COUNT_MODEL


def test_waits_and_roll_overs_are_on_the_bill(bench: DynamoDbBench) -> None:
    throttled = ModelThrottled("429", 2.0)
    lived = live(
        bench,
        look_at(1),
        throttled,
        throttled,
        look_at(2),
        look_at(3),
        throttled,
        says("Done."),
        steps_per_execution=2,
    )

    assert [len(states) for states in lived.executions] == [5, 4]
    assert lived.quantity(Resource.TRANSITIONS) == lived.transitions
    assert lived.quantity(Resource.WRITE_UNITS) == lived.tally.all_write_units
    invocations = next(
        line.quantity
        for line in lived.bill.lines
        if line.resource is Resource.INVOCATIONS and line.what == "step_executor"
    )
    assert invocations == lived.runs == 7


def test_unsafe_calls_are_on_the_bill(bench: DynamoDbBench) -> None:
    lived = live(bench, PAY, look_at(1), PAY, says("Done."))

    assert lived.quantity(Resource.WRITE_UNITS) == lived.tally.all_write_units


def test_a_retry_is_on_the_bill_as_a_transition_and_a_run(bench: DynamoDbBench) -> None:
    world = World(AGENT, chat=[says("Done.")], kept=(bench.store, bench.clock))
    ref = world.submitted()
    world.step(world.first(ref), attempt=2)
    tip = world.tip(ref)

    (runs,) = (
        line.quantity
        for line in aws_side(tip).lines
        if line.resource is Resource.INVOCATIONS and line.what == "step_executor"
    )
    assert (tip.totals.runs.retries, runs) == (2, 3)
