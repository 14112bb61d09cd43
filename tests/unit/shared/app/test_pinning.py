"""A task runs one version of the state machine, and so of the agent's code, from its first step to its last."""

from dataclasses import replace

import pytest

from ratchet import Agent, Limits
from ratchet.app.agents import AgentRegistry
from ratchet.app.task_views import task_view, timeline_view
from ratchet.contracts.errors import ModelRejected, StoreUnavailable
from ratchet.contracts.limits import WATCH_SECONDS
from ratchet.contracts.messages import Doorbell, StepOutput, TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.task_api import ResumeRequest
from ratchet.domain.messages import ToolCall
from ratchet.domain.task import History
from ratchet.testing.chat import Outcome, asks, says
from tests.unit.shared.app.test_execute_step import look
from tests.unit.shared.app.world import World

LOOP = Agent("loop", "Help.", tools=[look], policy="react", limits=Limits(max_steps=40))
MENDED = replace(LOOP, instructions="Help better.")
LOOK = asks(ToolCall("c1", "look", '{"where":"here"}'))
OLD, NEW = "machine:1", "machine:2"


def deployed(*chat: Outcome, steps_per_execution: int = 500) -> World:
    """The first version is deployed."""
    world = World(LOOP, chat=chat, steps_per_execution=steps_per_execution)
    world.workflow.versions = [OLD]
    return world


def upgrade(world: World) -> None:
    """The second version is deployed: new executions may run it."""
    world.workflow.versions.append(NEW)


def began_with(world: World, ref: TaskRef, generation: int) -> str | None:
    return world.workflow.input_of(ref, generation).execution.version


def test_the_first_execution_runs_the_current_version_which_the_task_remembers() -> None:
    world = deployed(says("Done."))
    ref = world.submitted()
    upgrade(world)
    world.first(ref)
    assert began_with(world, ref, 1) == NEW
    assert world.tip(ref).state.machine_version == NEW


def test_the_version_travels_through_the_execution() -> None:
    world = deployed(LOOK, says("Done."))
    state = world.step(world.first(world.submitted()))
    assert state.execution.version == OLD
    assert state.to_dict()["execution"] == {"generation": 1, "first_step": 1, "version": OLD}


def test_a_roll_over_stays_on_the_version() -> None:
    world = deployed(LOOK, LOOK, says("Done."), steps_per_execution=1)
    ref = world.submitted()
    state = world.step(world.first(ref))
    upgrade(world)
    assert world.continue_from(state).state.status is TaskStatus.SUCCEEDED
    assert [began_with(world, ref, n) for n in (1, 2, 3)] == [OLD, OLD, OLD]
    assert world.tip(ref).state.machine_version == OLD


def test_what_replaces_a_dead_execution_stays_on_the_version() -> None:
    world = deployed(says("Done."))
    ref = world.submitted()
    world.first(ref)
    upgrade(world)
    world.workflow.kill(ref, 1, cause="dead")
    world.clock.advance(WATCH_SECONDS)
    world.sweep()
    assert began_with(world, ref, 2) == OLD
    assert world.tip(ref).state.machine_version == OLD


def test_a_start_that_was_not_noted_does_not_move_the_task_to_a_newer_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = deployed(says("Done."))
    ref = world.submitted()
    with monkeypatch.context() as patch:
        patch.setattr(world.memory, "mark_started", unavailable)
        with pytest.raises(StoreUnavailable):
            world.dispatch(Doorbell(ref))
    upgrade(world)
    world.dispatch(Doorbell(ref))
    assert began_with(world, ref, 1) == OLD
    assert world.tip(ref).state.machine_version == OLD


def unavailable(*_: object) -> None:
    raise StoreUnavailable("down")


def test_a_task_whose_version_is_gone_goes_on_with_the_current_one_and_remembers_that() -> None:
    world = deployed(LOOK, LOOK, says("Done."), steps_per_execution=1)
    ref = world.submitted()
    state = world.step(world.first(ref))
    upgrade(world)
    world.workflow.versions.remove(OLD)
    world.continue_from(state)
    assert [began_with(world, ref, n) for n in (1, 2, 3)] == [OLD, NEW, NEW]
    assert world.tip(ref).state.machine_version == NEW


def test_a_task_from_before_there_were_versions_gets_one_with_its_next_execution() -> None:
    world = deployed(LOOK, says("Done."), steps_per_execution=1)
    world.workflow.versions = []
    ref = world.submitted()
    state = world.step(world.first(ref))
    assert world.tip(ref).state.machine_version is None
    world.workflow.versions = [OLD]
    world.continue_from(state)
    assert (began_with(world, ref, 1), began_with(world, ref, 2)) == (None, OLD)
    assert world.tip(ref).state.machine_version == OLD


def failed_midway(world: World) -> History:
    """A task whose second step failed; then its agent was mended and deployed."""
    failed = world.run(world.submitted())
    assert failed.state.status is TaskStatus.FAILED
    upgrade(world)
    return failed


def resumed(world: World, ref: TaskRef, request: ResumeRequest) -> StepOutput:
    world.resume(ref, request)
    return world.first(ref)


@pytest.mark.parametrize(
    ("request_", "version"), [(ResumeRequest(), OLD), (ResumeRequest(upgrade=True), NEW)]
)
def test_a_resumed_task_keeps_its_version_unless_an_upgrade_is_asked_for(
    request_: ResumeRequest, version: str
) -> None:
    world = deployed(LOOK, ModelRejected("no"), says("Done."))
    ref = failed_midway(world).task.ref
    assert resumed(world, ref, request_).execution.version == version
    assert world.tip(ref).state.machine_version == version


def test_steps_say_which_version_of_the_agent_ran_them() -> None:
    world = deployed(LOOK, ModelRejected("no"), LOOK, says("Done."))
    ref = failed_midway(world).task.ref
    assert task_view(world.tip(ref)).agent_version == LOOP.version
    state = resumed(world, ref, ResumeRequest(upgrade=True))
    assert task_view(world.tip(ref)).agent_version == LOOP.version
    world.registry = AgentRegistry({"loop": MENDED})
    world.continue_from(state)
    history = world.read.timeline(ref)
    versions = [step.agent_version for step in timeline_view(history).steps]
    assert versions == [LOOP.version, MENDED.version, MENDED.version]
    assert history.task.agent_version == LOOP.version
    assert task_view(world.tip(ref)).agent_version == MENDED.version


def test_an_end_that_ran_nothing_keeps_the_agents_version() -> None:
    world = deployed(LOOK, LOOK)
    world.registry = AgentRegistry({"loop": MENDED})
    ref = world.submitted()
    world.step(world.first(ref))
    assert task_view(world.cancel(ref)).agent_version == MENDED.version
