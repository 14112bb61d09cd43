"""Tasks of which stored bodies are gone: each ends, says so, and is announced; nothing is guessed."""

import pytest

from ratchet import Agent, Limits, tool
from ratchet.contracts.errors import DataMissing
from ratchet.contracts.limits import RING_AGAIN_SECONDS, WATCH_SECONDS
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import Action, TaskStatus
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import End
from ratchet.testing.chat import asks, says
from tests.contract.store.samples import LARGE
from tests.unit.shared.app.world import World


@tool(effect="read")
def fetch() -> str:
    """Read much."""
    return LARGE


READER = Agent("reader", "Read.", tools=[fetch], policy="react", limits=Limits(max_steps=40))
FETCH = asks(ToolCall("c1", "fetch", "{}"))


def failure_code(world: World, ref: TaskRef) -> str:
    end = world.read.tip(ref).next
    assert isinstance(end, End)
    assert end.failure is not None
    return end.failure.code


def test_the_step_after_one_that_is_gone_ends_the_task() -> None:
    world = World(READER, chat=[FETCH])
    ref = world.submitted()
    state = world.step(world.first(ref))
    world.memory.payloads.clear()
    assert world.step(state).action is Action.FINISH
    assert world.step(state).status == "failed"
    assert failure_code(world, ref) == "data_missing"


def test_the_sweeper_ends_what_nobody_can_read_and_it_is_announced() -> None:
    world = World(READER, chat=[FETCH])
    ref = world.submitted(goal=f"Read {LARGE}")
    world.step(world.first(ref))
    world.memory.payloads.clear()
    world.clock.advance(WATCH_SECONDS)
    assert (world.sweep().failed, failure_code(world, ref)) == (0, "data_missing")
    world.clock.advance(RING_AGAIN_SECONDS)
    world.sweep()
    assert world.outbox.receive() == Doorbell(ref)
    world.announce(Doorbell(ref))
    assert [event.type for event in world.sns.delivered] == ["task.failed"]
    world.clock.advance(RING_AGAIN_SECONDS)
    assert world.sweep().tasks == 0


def test_the_event_of_a_dead_execution_ends_it_too() -> None:
    world = World(READER, chat=[FETCH])
    ref = world.submitted()
    world.step(world.first(ref))
    world.memory.payloads.clear()
    world.sweep.reconcile(ref)
    assert failure_code(world, ref) == "data_missing"
    assert len(world.workflow.executions) == 1


def test_an_outcome_that_is_gone_is_told_and_announced_without_its_result() -> None:
    world = World(READER, chat=[says(LARGE)])
    ref = world.submitted()
    world.run(ref)
    world.memory.payloads.clear()
    assert world.read.tip(ref).state.status is TaskStatus.SUCCEEDED
    assert failure_code(world, ref) == "data_missing"
    world.announce(Doorbell(ref))
    (event,) = world.sns.delivered
    assert (event.type, b'"code":"data_missing"' in event.body) == ("task.succeeded", True)


def test_what_cannot_be_read_is_neither_resumed_nor_told_step_by_step() -> None:
    world = World(READER, chat=[FETCH])
    ref = world.submitted()
    world.step(world.first(ref))
    world.memory.payloads.clear()
    for verb in (world.resume, world.cancel, world.read.timeline):
        with pytest.raises(DataMissing):
            verb(ref)
