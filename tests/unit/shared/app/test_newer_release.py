"""A task is pinned to its code, and the api is not: what a newer api writes of it, older code may be unable to read.

It can happen: `resume` and a person's decision are steps that the api writes, in its own format, of a task whose next
step runs on the version that it began with. The format changes seldom (`codec.SCHEMA_VERSION`); what must not happen
then is that a task counts as damaged, or that anything of it is lost.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest

from ratchet import Agent
from ratchet.contracts.errors import DataMissing, ModelRejected
from ratchet.contracts.interrupt_api import DecisionRequest
from ratchet.contracts.limits import WATCH_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Action, TaskStatus
from ratchet.contracts.task_api import ResumeRequest
from ratchet.domain import codec
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import End, Paused
from ratchet.testing.chat import asks, says
from tests.unit.shared.app.test_pinning import LOOK, NEW, OLD, deployed, upgrade
from tests.unit.shared.app.world import World

ASKED = [asks(ToolCall("c1", "ask_human", '{"question":"Which colour?"}')), says("Done.")]


@contextmanager
def newer_release() -> Iterator[None]:
    """What runs here is of a release that stores another format, and reads all before it."""
    now = codec.SCHEMA_VERSION
    dictionaries = {**codec._DICTIONARIES, now + 1: codec._DICTIONARIES[now]}
    with (
        mock.patch.object(codec, "SCHEMA_VERSION", now + 1),
        mock.patch.object(codec, "_DICTIONARIES", dictionaries),
        mock.patch.object(codec, "_UPCASTERS", {**codec._UPCASTERS, now: lambda data: data}),
    ):
        yield


def failed_midway() -> tuple[World, TaskRef]:
    """A task of the old code that failed after its first step, when the new code is deployed."""
    world = deployed(LOOK, ModelRejected("no money"), LOOK, says("Done."))
    ref = world.submitted()
    world.run(ref)
    upgrade(world)
    return world, ref


def run_on_old_code(world: World, ref: TaskRef) -> None:
    """The dispatcher is of the newer release, the execution that it starts of the older one; the step ends the task."""
    with newer_release():
        state = world.first(ref)
    assert state.execution.version == OLD
    ended = world.step(state)
    assert (ended.action, ended.status) == (Action.FINISH, "failed")


def code_of(world: World, ref: TaskRef) -> str | None:
    following = world.tip(ref).next
    assert isinstance(following, End)
    return None if following.failure is None else following.failure.code


def test_older_code_says_that_the_task_needs_an_upgrade_and_does_nothing() -> None:
    world, ref = failed_midway()
    calls = len(world.chat.calls)
    with newer_release():
        world.resume(ref)
    run_on_old_code(world, ref)
    with newer_release():
        assert code_of(world, ref) == "upgrade_needed"
        assert world.tip(ref).state.status is TaskStatus.FAILED
    assert len(world.chat.calls) == calls


def test_resumed_with_an_upgrade_it_goes_on_with_all_that_it_had_done() -> None:
    world, ref = failed_midway()
    before = world.steps(ref)
    with newer_release():
        world.resume(ref)
    run_on_old_code(world, ref)
    with newer_release():
        world.resume(ref, ResumeRequest(upgrade=True))
        tip = world.run(ref)
        assert tip.state.status is TaskStatus.SUCCEEDED
        assert world.workflow.input_of(ref, 3).execution.version == NEW
        steps = world.steps(ref)
    assert steps[: len(before)] == before
    assert tip.totals.cost_microusd == sum(step.result.charged.microusd for step in steps)


def test_so_does_one_that_a_person_has_answered() -> None:
    world = World(Agent("loop", "Help.", policy="react", ask_human=True), chat=ASKED)
    world.workflow.versions = [OLD]
    ref = world.submitted()
    world.run(ref)
    upgrade(world)
    paused = world.tip(ref).next
    assert isinstance(paused, Paused)
    with newer_release():
        world.decide(ref, paused.interrupts[0].id, DecisionRequest(answer="red"))
    run_on_old_code(world, ref)
    with newer_release():
        assert code_of(world, ref) == "upgrade_needed"
        world.resume(ref, ResumeRequest(upgrade=True))
        assert world.run(ref).state.status is TaskStatus.SUCCEEDED
        assert "red" in repr(world.steps(ref))


def test_an_older_release_that_is_put_back_ends_no_task() -> None:
    world, ref = failed_midway()
    with newer_release():
        world.resume(ref)
    world.clock.advance(WATCH_SECONDS)
    swept = world.sweep()
    assert (swept.tasks, swept.failed) == (1, 1)
    with newer_release():
        assert world.tip(ref).state.status is TaskStatus.QUEUED
        assert world.sweep().failed == 0


@pytest.mark.parametrize("body", [b"", b"\x02not deflated"])
def test_what_is_damaged_is_not_of_a_newer_release(body: bytes) -> None:
    with pytest.raises(DataMissing) as raised:
        codec.unpack(body)
    assert raised.value.code == "data_missing"
