"""Asking for a fork: keys, what is refused and why, and which agent and limits it gets."""

from dataclasses import replace
from typing import Any

import pytest

from ratchet import Agent, Limits
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.request_errors import (
    IdempotencyKeyReused,
    InvalidRequest,
    ModelNotPriced,
    TaskNotFound,
    UnknownAgent,
)
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.task import TaskLimits
from ratchet.testing.chat import says
from tests.unit.shared.app.test_execute_step import HELPER, PLAN, look
from tests.unit.shared.app.test_fork_task import SCRIPT, finished, forked, request
from tests.unit.shared.app.world import World

NOBODY = TaskRef("acme", "task_7ZZZZZZZZZZZZZZZZZZZZZZZZZ")


def test_the_same_key_and_body_give_the_same_fork_whatever_the_parent_did_since() -> None:
    world = World(HELPER, chat=SCRIPT)
    parent = world.submitted()
    state = world.step(world.first(parent))
    first = world.fork(parent, request(model="o3"), idempotency_key="k")
    world.continue_from(state)
    again = world.fork(parent, request(model="o3"), idempotency_key="k")
    assert (first.is_replay, again.is_replay) == (False, True)
    assert again.task == first.task
    assert again.task.fork is not None
    assert again.task.fork.step == 1


def test_a_key_belongs_to_one_parent_and_one_body() -> None:
    world, parent = finished()
    world.fork(parent, request(), idempotency_key="k")
    other = world.submitted()
    for ref, asked in ((parent, request(step=1)), (other, request())):
        with pytest.raises(IdempotencyKeyReused, match="use a new key"):
            world.fork(ref, asked, idempotency_key="k")
    with pytest.raises(IdempotencyKeyReused):
        world.submit(TaskRequest(goal="Do it."), tenant="acme", idempotency_key="k")


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"step": 6}, r"step: 6 .* choose one from 0 \(its beginning\) to 5"),
        ({"step": -1}, "step: -1 "),
        ({"step": 10**30}, "step: 10000000000000000000 "),
        ({"tool_answers": {"c7": "x"}}, "no call has the id c7; the calls .* are c1, c2"),
        ({"step": 2, "tool_answers": {"c2": "x"}}, "no call has the id c2; .* are c1$"),
        ({"step": 1, "tool_answers": {"c1": "x"}}, "it has no calls"),
        ({"model": "text-embedding-3-small"}, "cannot ask 'text-embedding-3-small'"),
        ({"limits": {"max_steps": 51}}, "above the agent's own limit of 50"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_can(fields: dict[str, Any], advice: str) -> None:
    world, parent = finished()
    with pytest.raises(InvalidRequest, match=advice):
        forked(world, parent, **fields)


def test_a_model_without_a_price_is_refused() -> None:
    world, parent = finished()
    with pytest.raises(ModelNotPriced, match=r"'gpt-9' has no price; add .* cdk/models.yaml"):
        forked(world, parent, model="gpt-9")


def test_a_webhook_is_checked() -> None:
    world, parent = finished()
    seen: list[str] = []
    checked = replace(world.fork, check_webhook=seen.append)
    created = checked(parent, request(webhook={"url": "https://example.com/other"}))
    assert seen == [created.task.webhook_url] == ["https://example.com/other"]


@pytest.mark.parametrize("ref", [NOBODY, TaskRef("acme", "nonsense"), TaskRef("acme", "a#b")])
def test_an_unknown_task_is_not_found(ref: TaskRef) -> None:
    with pytest.raises(TaskNotFound, match="GET /v1/tasks lists yours"):
        forked(World(HELPER), ref)


def test_another_tenants_task_is_not_found() -> None:
    world, parent = finished()
    with pytest.raises(TaskNotFound):
        forked(world, TaskRef("globex", parent.task_id))


def deployed(world: World, *agents: Agent) -> World:
    """The same store under another deployment."""
    return World(*agents, chat=world.chat.complete, kept=(world.store, world.clock))


def test_an_agent_that_is_deployed_no_more_is_unknown() -> None:
    world, parent = finished()
    with pytest.raises(UnknownAgent, match="no agent 'helper' is deployed"):
        forked(deployed(world, Agent("other", "Help.")), parent)


def test_another_version_of_the_agent_goes_on_and_is_recorded() -> None:
    world, parent = finished(*SCRIPT[3:])
    newer = Agent("helper", "Help better.", tools=[look])
    later = deployed(world, newer)
    later.ids.task_id()  # the first id is the parent's
    task = forked(later, parent, step=3)
    assert task.agent_version == newer.version != world.tip(parent).task.agent_version
    assert later.run(task.ref).state.status is TaskStatus.SUCCEEDED


def test_limits_are_the_agents_not_the_parents() -> None:
    agent = Agent("helper", "Help.", limits=Limits(max_steps=9))
    world = World(agent, chat=[PLAN, says("Here.")])
    parent = world.submitted(limits={"max_steps": 4})
    world.run(parent)
    assert forked(world, parent).limits == TaskLimits(max_steps=9)
