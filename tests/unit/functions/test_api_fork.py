"""POST /v1/tasks/{task_id}/fork, from envelope to answer."""

import json
from typing import Any

import pytest

from functions.api import current
from ratchet import Agent, Limits, tool
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.domain.messages import ToolCall
from ratchet.model_ports import ModelCall
from ratchet.testing.chat import Outcome, asks, says
from tests.api_wiring import wired
from tests.envelopes import envelope
from tests.unit.functions.test_api import call
from tests.unit.shared.app.world import World


@tool(effect="read")
def look(where: str) -> str:
    """Look somewhere."""
    return f"saw {where}"


AGENT = Agent("support", "Help.", tools=[look], policy="react", limits=Limits(max_cost_usd=0.5))


def script(asked: ModelCall) -> Outcome:
    is_told = any(m.role == "tool" for m in asked.prompt.messages)
    return says("Done.") if is_told else asks(ToolCall("c1", "look", '{"where":"here"}'))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(AGENT, chat=script)
    monkeypatch.setattr(current, "wiring", lambda: wired(world))
    _, task, _ = call(envelope("api/submit"))
    world.run(TaskRef("acme", task["task_id"]))
    while world.inbox.receive() is not None:
        pass
    return world


def fork(**body: Any) -> dict[str, Any]:
    event = envelope("api/fork")
    event["body"] = json.dumps(body)
    return event


def test_a_fork_is_accepted_with_the_place_to_poll_and_its_parent(world: World) -> None:
    parent = call(envelope("api/get_task"))[1]
    status, task, headers = call(envelope("api/fork"))
    assert status == 202
    assert headers["location"] == f"/v1/tasks/{task['task_id']}"
    assert (task["status"], task["goal"]) == ("queued", parent["goal"])
    assert task["parent"] == {"task_id": parent["task_id"], "step": 0}
    assert (task["cost_usd"], task["limits"]["max_steps"]) == (0, 5)
    ref = TaskRef("acme", task["task_id"])
    assert world.inbox.receive() == Doorbell(ref)
    world.run(ref)
    event = envelope("api/get_task")
    path = f"/v1/tasks/{task['task_id']}/steps"
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    _, timeline, _ = call(event)
    assert timeline["parent"] == task["parent"]
    assert {step["model"] for step in timeline["steps"]} == {"gpt-4.1"}
    assert parent["parent"] is None


@pytest.mark.parametrize("body", [None, "{}"])
def test_an_empty_body_does_the_last_step_again(world: World, body: str | None) -> None:
    event = envelope("api/fork")
    if body is None:
        del event["body"]
    else:
        event["body"] = body
    status, task, _ = call(event)
    assert (status, task["parent"]["step"]) == (202, 1)


def test_the_same_fork_again_gets_the_first_answer(world: World) -> None:
    _, first, _ = call(envelope("api/fork"))
    status, again, headers = call(envelope("api/fork"))
    assert (status, headers["idempotent-replay"]) == (202, "true")
    assert again == first
    status, problem, _ = call(fork(step=1))
    assert (status, problem["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("body", "says_what"),
    [
        ({"step": 3}, "choose one from 0 (its beginning) to 2"),
        ({"step": "x"}, "step: Input should be a valid integer"),
        ({"instruction": " "}, "instruction: String should have at least 1 character"),
        ({"instruction": "\ud800"}, "surrogate"),
        ({"tool_answers": {"c9": "x"}}, "the calls up to that step are c1"),
        ({"tool_answers": {"\ud800": "x"}}, "no call has the id ?"),
        ({"tool_answers": {"c1": 1}}, "tool_answers.c1"),
        ({"tool_answers": {"c1": "x" * 100_001}}, "at most 100000 characters"),
        ({"goal": "Another."}, "goal: unknown field; remove it"),
    ],
)
def test_what_cannot_be_forked_is_a_bad_request(
    world: World, body: dict[str, Any], says_what: str
) -> None:
    status, problem, headers = call(fork(**body))
    assert (status, problem["code"]) == (400, "invalid_request")
    assert headers["content-type"] == "application/problem+json"
    assert says_what in problem["detail"]
    assert len(world.inbox) == 0


@pytest.mark.parametrize("task_id", ["task_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "nonsense", "task_x%23y"])
def test_an_unknown_task_is_not_found(world: World, task_id: str) -> None:
    event = fork()
    path = f"/v1/tasks/{task_id}/fork"
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    status, problem, _ = call(event)
    assert (status, problem["code"]) == (404, "not_found")


def test_another_tenants_task_is_not_found(world: World) -> None:
    event = envelope("api/fork")
    event["requestContext"]["authorizer"]["lambda"]["tenant"] = "globex"
    status, problem, _ = call(event)
    assert (status, problem["code"]) == (404, "not_found")
