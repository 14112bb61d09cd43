"""POST /v1/tasks/{task_id}/interrupts/{interrupt_id}, from envelope to answer."""

import json
from typing import Any

import pytest

from functions.api import current
from ratchet import Agent, tool
from ratchet.contracts.access import Identity
from ratchet.contracts.messages import TaskRef
from ratchet.domain.messages import ToolCall
from ratchet.model_ports import ModelCall
from ratchet.testing.chat import Outcome, asks, says
from tests.api_wiring import wired
from tests.envelopes import envelope
from tests.unit.functions.test_api import call
from tests.unit.shared.app.world import World


@tool(effect="unsafe", approval="always")
def refund(amount: int) -> str:
    """Pay back."""
    return f"paid {amount}"


AGENT = Agent("support", "Help.", tools=[refund], policy="react")


def script(asked: ModelCall) -> Outcome:
    is_told = any(m.role == "tool" for m in asked.prompt.messages)
    return says("Done.") if is_told else asks(ToolCall("c1", "refund", '{"amount":5}'))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(AGENT, chat=script)
    monkeypatch.setattr(current, "wiring", lambda: wired(world))
    return world


@pytest.fixture
def asked(world: World) -> dict[str, Any]:
    """A task with an open question, as the API shows it."""
    _, task, _ = call(envelope("api/submit"))
    world.run(TaskRef("acme", task["task_id"]))
    event = envelope("api/get_task")
    event["rawPath"] = event["requestContext"]["http"]["path"] = f"/v1/tasks/{task['task_id']}"
    (interrupt,) = call(event)[1]["interrupts"]
    found: dict[str, Any] = interrupt
    return found


def decision(asked: dict[str, Any], body: Any, **caller: Any) -> dict[str, Any]:
    event = envelope("api/fork")
    path = f"/v1/tasks/{asked['task_id']}/interrupts/{asked['id']}"
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["body"] = body if isinstance(body, str) else json.dumps(body)
    if caller:
        event["requestContext"]["authorizer"] = caller
    return event


def decided_by(world: World, asked: dict[str, Any]) -> list[str]:
    decisions = [r.result.decision for r in world.steps(TaskRef("acme", asked["task_id"]))]
    return [decision.by for decision in decisions if decision is not None]


def test_an_approval_shows_its_action_and_takes_a_decision_of_the_verified_caller(
    world: World, asked: dict[str, Any]
) -> None:
    assert (asked["tool"], asked["arguments"]) == ("refund", {"amount": 5})
    status, task, _ = call(decision(asked, {"decision": "approve"}))
    assert (status, task["status"], task["interrupts"]) == (200, "queued", [])
    assert decided_by(world, asked) == ["key:acme"]


def test_an_iam_principal_is_named_in_the_decision(
    world: World, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "identity", lambda: Identity("iam"))
    arn = "arn:aws:sts::acme:assumed-role/Clerk/ann"
    call(decision(asked, {"answer": "reject"}, iam={"accountId": "acme", "userArn": arn}))
    assert decided_by(world, asked) == [arn]


def test_a_made_key_and_a_tokens_user_are_named_in_the_decision(
    world: World, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {"tenant": "acme", "scopes": "decide", "key_id": "0a"}
    assert call(decision(asked, {"decision": "approve"}, **{"lambda": made}))[0] == 200
    assert decided_by(world, asked) == ["key:0a"]
    claims = {"tenant": "acme", "sub": "ann", "scope": "decide"}
    monkeypatch.setattr(current, "identity", lambda: Identity("jwt"))
    again = decision(asked, {"decision": "approve"}, jwt={"claims": claims})
    assert call(again)[0] == 200


def test_another_decision_is_409_and_the_same_is_200(world: World, asked: dict[str, Any]) -> None:
    assert call(decision(asked, {"decision": "approve"}))[0] == 200
    assert call(decision(asked, {"answer": "approve"}))[0] == 200
    status, problem, _ = call(decision(asked, {"decision": "reject"}))
    assert (status, problem["code"]) == (409, "already_decided")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"decision": "maybe"},
        {"decision": "edit"},
        {"decision": "edit", "arguments": [1]},
        '{"decision": "edit", "arguments": {"amount": NaN}}',
        {"decision": "approve", "by": "the boss"},
        {"answer": ""},
        {"answer": "x" * 10_001},
        "{broken",
        '{"decision": "edit", "arguments": ' + '{"a":' * 3_000 + "1" + "}" * 3_001,
    ],
)
def test_what_is_no_decision_is_400_and_decides_nothing(
    world: World, asked: dict[str, Any], body: Any
) -> None:
    status, problem, _ = call(decision(asked, body))
    assert (status, problem["code"]) == (400, "invalid_request")
    assert decided_by(world, asked) == []


def test_another_tenant_finds_no_such_question(world: World, asked: dict[str, Any]) -> None:
    status, _, _ = call(
        decision(
            asked, {"decision": "approve"}, **{"lambda": {"tenant": "other", "scopes": "decide"}}
        )
    )
    assert status == 404
    assert decided_by(world, asked) == []
