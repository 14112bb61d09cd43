"""What the last step of a task tells of its AWS side, held to what the task really did on DynamoDB and the machine."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from cdk.components.asl import definition
from ratchet import Agent, tool
from ratchet.adapters.dynamodb_cache import DynamoDbResponseCache
from ratchet.adapters.dynamodb_table import Table
from ratchet.admission_ports import SlotStore
from ratchet.app.admission import Admission, SlotReturn
from ratchet.contracts.errors import ModelThrottled
from ratchet.contracts.messages import StepOutput, TaskRef
from ratchet.contracts.names import Action
from ratchet.domain.admission import LimitRules
from ratchet.domain.aws_bill import Bill, Resource
from ratchet.domain.messages import ToolCall
from ratchet.domain.slots import AdmissionRules
from ratchet.domain.steps import Runs
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
QUEUE_SECONDS = 0.05
NO_LIMITS = AdmissionRules()
TWO_LIMITS = AdmissionRules(2, LimitRules(4, 4))


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
    noted: Runs = field(default_factory=Runs)

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
    bench: DynamoDbBench,
    *answers: ModelAnswer | ModelThrottled,
    steps_per_execution: int = 500,
    agent: Agent = AGENT,
    rules: AdmissionRules = NO_LIMITS,
    earlier: int = 0,
) -> Lived:
    """Run a task that gets these answers; every step in a fresh sandbox, and all of it counted."""
    script = iter(answers)

    def answer(_: ModelCall) -> ModelAnswer | ModelThrottled:
        found = next(script)
        if isinstance(found, ModelAnswer):
            bench.clock.advance(STEP_SECONDS)
        return found

    world = World(
        agent,
        chat=answer,
        kept=(bench.store, bench.clock),
        steps_per_execution=steps_per_execution,
    )
    world.cache = DynamoDbResponseCache(Table(bench.client, bench.table, bench.clock), bench.clock)
    limit(world, bench, rules)
    for _ in range(earlier):
        world.ids.task_id()
    meter = Meter(bench.client, bench.table)
    lived = Lived(Bill(), Tally())
    with meter.phase("all"):
        ref = world.submitted()
        bench.clock.advance(QUEUE_SECONDS)
        follow(world, ref, lived)
        world.announce_all(ref)
    tip = world.tip(ref)
    lived.bill, lived.tally = aws_side(tip), meter.phases["all"]
    lived.noted = tip.totals.runs
    return lived


def cached(lived: Lived) -> tuple[int, int]:
    return lived.noted.cache_reads, lived.noted.cache_writes


def limit(world: World, bench: DynamoDbBench, rules: AdmissionRules) -> None:
    """Put these limits on what runs at once."""
    if not rules.is_on:
        return
    slots = cast("SlotStore", bench.store)
    dispatcher, deliverer = (Admission(slots, bench.clock, rules) for _ in range(2))
    world.dispatch = replace(world.dispatch, admission=dispatcher)
    world.announce = replace(world.announce, slots=SlotReturn(deliverer, world.inbox))


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


@pytest.mark.parametrize("rules", [AdmissionRules(tenant_limit=2), TWO_LIMITS])
def test_a_slot_is_on_the_bill(bench: DynamoDbBench, rules: AdmissionRules) -> None:
    lived = live(bench, look_at(1), says("Done."), rules=rules)

    assert lived.quantity(Resource.WRITE_UNITS) == lived.tally.all_write_units
    read = lived.tally.read_units - len(lived.executions)
    assert lived.quantity(Resource.READ_UNITS) == read


def test_answers_that_were_looked_for_and_kept_are_on_the_bill(bench: DynamoDbBench) -> None:
    agent = replace(AGENT, cache_ttl_seconds=3_600)
    answers = (look_at(1), PAY, says("Done."))
    first = live(bench, *answers, agent=agent)
    # An answer that asks for an effect is not kept.
    assert cached(first) == (3, 2)
    assert first.quantity(Resource.WRITE_UNITS) == first.tally.all_write_units

    again = live(bench, PAY, agent=agent, earlier=1)
    assert cached(again) == (3, 0)
    assert again.quantity(Resource.WRITE_UNITS) == again.tally.all_write_units
    for lived in (first, again):
        read = lived.tally.read_units - len(lived.executions)
        assert read <= lived.quantity(Resource.READ_UNITS) <= read * 1.5


def test_answers_that_were_looked_for_before_a_wait_are_on_the_bill(bench: DynamoDbBench) -> None:
    agent = replace(AGENT, cache_ttl_seconds=3_600)
    throttled = ModelThrottled("429", 2.0)
    lived = live(bench, throttled, throttled, says("Done."), agent=agent)

    assert lived.quantity(Resource.WRITE_UNITS) == lived.tally.all_write_units
    assert cached(lived)[0] == 3


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
