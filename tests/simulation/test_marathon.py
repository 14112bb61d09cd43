"""The longest task that there can be: 5,000 steps in executions of 500, none near a limit of Step Functions."""

from dataclasses import dataclass
from random import Random

from ratchet.contracts.limits import MAX_STEPS_CAP, STEPS_PER_EXECUTION
from ratchet.contracts.names import TaskStatus
from tests.figures import Tell
from tests.simulation.faults import Fault, Injector
from tests.simulation.handlers import installed
from tests.simulation.memory import growing
from tests.simulation.orchestrator import MAX_EVENTS
from tests.simulation.story import Story, Submit
from tests.simulation.world import World

SUMMARIES = 9  # steps too: of the history, whenever it fills three fifths of the context window
GOAL = "look;" * (MAX_STEPS_CAP - 1 - SUMMARIES)  # the last step answers
STORY = Story("marathon", (Submit(GOAL, agent="marathon"),))
SEED = 1
RATE = 0.005
ENDING = frozenset({Fault.REJECTED, Fault.OVERFLOW})  # these may end the task, as they should
FOREVER_MS = 1 << 60


@dataclass(frozen=True, slots=True)
class Run:
    """How the longest task went."""

    violations: list[str]
    statuses: list[TaskStatus]
    steps: int
    summaries: int
    faults: int
    events: list[int]  # of each execution
    largest_bytes: int  # that passed through Step Functions, a queue or the logs

    def __str__(self) -> str:
        return (
            f"{self.steps} steps, {self.summaries} of them summaries, {self.faults} faults: "
            f"{len(self.events)} executions, {max(self.events)} events in the longest, "
            f"{self.largest_bytes} bytes in the largest input, output, message or log record"
        )


def test_a_task_of_5000_steps_succeeds_in_executions_far_from_their_limits(
    tell: Tell,
) -> None:
    run = run_to_the_end()
    tell(str(run))
    assert run.faults > 50
    assert run.violations == []
    assert run.statuses == [TaskStatus.SUCCEEDED]
    assert run.steps >= MAX_STEPS_CAP
    assert run.summaries == SUMMARIES
    assert len(run.events) >= MAX_STEPS_CAP // STEPS_PER_EXECUTION
    assert 7 * STEPS_PER_EXECUTION < max(run.events) < MAX_EVENTS / 4


def run_to_the_end() -> Run:
    """The story with some faults all along."""
    injector = Injector()
    injector.roll(Random(SEED), rate=RATE, until_ms=FOREVER_MS, never=ENDING)
    with installed(), growing():
        world = World(STORY, injector)
        world.run()
    partitions = [world.ledger.partition(ref) for ref in world.people.accepted.values()]
    return Run(
        violations=world.ledger.violations,
        statuses=[p.head.state.status for p in partitions if p.head is not None],
        steps=sum(len(p.steps) for p in partitions),
        summaries=sum(
            world.ledger.record(body).result.is_summary
            for p in partitions
            for body in p.steps.values()
        ),
        faults=len(injector.injected),
        events=[e.events for e in world.orchestrator.executions.values()],
        largest_bytes=max(world.ledger.largest.values()),
    )
