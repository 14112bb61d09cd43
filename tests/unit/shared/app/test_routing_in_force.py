"""An override is read when a task is made, checked, and pinned in the task."""

import json

import pytest

from ratchet import Agent
from ratchet.app.deployed_models import DeployedModels
from ratchet.app.routing_view import routing_view
from ratchet.contracts.limits import ROUTING_OVERRIDE_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Complexity, StepType
from ratchet.contracts.task_api import ForkRequest
from ratchet.testing.chat import says
from tests.unit.shared.app.world import ROUTING, World

AGENT = Agent("support", "Help.", policy="react")


def table(model: str) -> str:
    return json.dumps({"default": [model]})


@pytest.fixture
def world() -> World:
    return World(AGENT, chat=lambda _: says("Done."))


def only_step(world: World, ref: TaskRef) -> tuple[str, str | None, str]:
    (record,) = world.steps(ref)
    return record.result.route, record.result.model, record.result.reason


def test_a_task_uses_the_override_and_its_record_says_so(world: World) -> None:
    world.override.write(table("o3"))
    ref = world.submitted()
    world.run(ref)
    assert only_step(world, ref) == ("tool_dispatch simple, override", "o3", "preferred")


def test_a_task_keeps_the_table_that_it_was_submitted_with(world: World) -> None:
    world.override.write(table("o3"))
    overridden = world.submitted()
    world.override.write(None)
    world.clock.advance(ROUTING_OVERRIDE_SECONDS)
    plain = world.submitted()
    world.override.write(table("gpt-4.1"))
    world.clock.advance(ROUTING_OVERRIDE_SECONDS)
    for ref in (overridden, plain):
        world.run(ref)
    assert only_step(world, overridden)[1] == "o3"
    assert only_step(world, plain)[:2] == ("tool_dispatch simple", "gpt-4o-mini")


def test_a_fork_gets_the_table_of_its_own_time(world: World) -> None:
    ref = world.submitted()
    world.run(ref)
    world.override.write(table("o3"))
    world.clock.advance(ROUTING_OVERRIDE_SECONDS)
    fork = world.fork(ref, ForkRequest()).task.ref
    world.run(fork)
    assert only_step(world, fork)[:2] == ("tool_dispatch simple, override", "o3")


def test_the_override_is_read_once_a_minute_however_many_tasks_come(world: World) -> None:
    for _ in range(20):
        world.run(world.submitted())
    assert world.override.reads == 1
    world.clock.advance(ROUTING_OVERRIDE_SECONDS)
    world.submitted()
    assert world.override.reads == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no JSON", "table: Invalid JSON"),
        ("[]", "table: Input should be"),
        ('{"rules": [{"step": "dreaming", "models": ["o3"]}]}', "rules.0.step"),
        ('{"default": []}', "default"),
        (table("dream-7"), "'planning simple, override' leads to model 'dream-7'"),
    ],
)
def test_an_override_that_cannot_be_used_leaves_the_deployed_table_and_rings_an_alarm(
    world: World, text: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world.override.write(text)
    ref = world.submitted()
    world.run(ref)
    assert only_step(world, ref)[:2] == ("tool_dispatch simple", "gpt-4o-mini")
    assert "RoutingOverrideRefused" in capsys.readouterr().out
    assert problem in str(world.submit.routing.current().problem)


def test_while_the_override_cannot_be_read_the_last_one_read_stays(world: World) -> None:
    world.override.write(table("o3"))
    world.submitted()
    world.override.is_down = True
    world.clock.advance(ROUTING_OVERRIDE_SECONDS)
    ref = world.submitted()
    world.run(ref)
    assert only_step(world, ref)[1] == "o3"


def test_an_override_that_could_never_be_read_fails_no_submission(world: World) -> None:
    world.override.is_down = True
    ref = world.submitted()
    world.run(ref)
    assert only_step(world, ref)[1] == "gpt-4o-mini"


def test_the_table_in_force_can_be_seen_with_what_is_wrong_with_the_override(world: World) -> None:
    routes = tuple(ROUTING.route(s, c) for s in StepType for c in Complexity)
    models = DeployedModels(routes=routes)
    deployed = routing_view(models, world.submit.routing)
    assert (deployed.source, len(deployed.routes), deployed.problem) == ("deployed", 8, None)
    world.override.write(table("o3"))
    world.clock.advance(ROUTING_OVERRIDE_SECONDS)
    overridden = routing_view(models, world.submit.routing)
    assert overridden.source == "override"
    assert {tuple(route.models) for route in overridden.routes} == {("o3",)}
    assert {(r.step, r.complexity) for r in overridden.routes} == {
        (r.step, r.complexity) for r in deployed.routes
    }
    world.override.write("{")
    world.clock.advance(ROUTING_OVERRIDE_SECONDS)
    assert "Invalid JSON" in str(routing_view(models, world.submit.routing).problem)
