"""Sessions over HTTP."""

import json
from typing import Any

import pytest

from functions.api import current, handler
from ratchet import Agent
from ratchet.testing.chat import says
from tests.api_wiring import wired
from tests.envelopes import LambdaContext, envelope
from tests.unit.shared.app.world import World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(Agent("support", "Help.", policy="react"), chat=lambda _: says("Done."))
    monkeypatch.setattr(current, "wiring", lambda: wired(made))
    return made


def ask(
    method: str, path: str, *, body: object = None, tenant: str | None = None
) -> tuple[int, dict[str, Any]]:
    event = envelope("api/submit" if body is not None else "api/get_task")
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["requestContext"]["http"]["method"] = method
    event["headers"].pop("idempotency-key", None)
    event["queryStringParameters"], event["rawQueryString"] = {}, ""
    if body is not None:
        event["body"], event["isBase64Encoded"] = json.dumps(body), False
    if tenant is not None:
        event["requestContext"]["authorizer"]["lambda"]["tenant"] = tenant
    answer = handler.lambda_handler(event, LambdaContext())  # type: ignore[arg-type]
    return answer["statusCode"], json.loads(answer["body"])


def submit(**changes: str) -> tuple[int, dict[str, Any]]:
    return ask("POST", "/v1/tasks", body={"goal": "Hello.", "session_id": "s-1", **changes})


def test_a_task_says_its_session_and_a_session_its_tasks(world: World) -> None:
    _, first = submit()
    assert first["session_id"] == "s-1"
    _, second = submit()
    status, session = ask("GET", "/v1/sessions/s-1")
    assert status == 200
    assert [task["task_id"] for task in session["tasks"]] == [second["task_id"], first["task_id"]]
    assert session["waiting_task_ids"] == [first["task_id"], second["task_id"]]
    assert (session["running_task_id"], session["history_tokens"]) == (None, 0)


def test_a_refusal_names_the_task_in_the_way(world: World) -> None:
    _, first = submit()
    status, problem = submit(on_conflict="reject")
    assert (status, problem["code"]) == (409, "session_busy")
    assert problem["task_id"] == first["task_id"]
    status, problem = ask("DELETE", "/v1/sessions/s-1")
    assert (status, problem["task_id"]) == (409, first["task_id"])


def test_deleting_says_what_it_deleted(world: World) -> None:
    _, task = submit()
    ask("POST", f"/v1/tasks/{task['task_id']}/cancel")
    status, deleted = ask("DELETE", "/v1/sessions/s-1")
    assert status == 200
    assert deleted["deleted_task_ids"] == [task["task_id"]]
    assert deleted["deleted_items"] == 4, "head, step, place, session"
    assert ask("GET", "/v1/sessions/s-1")[0] == 404
    assert ask("GET", f"/v1/tasks/{task['task_id']}")[0] == 404


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_another_tenants_session_is_not_found(world: World, method: str) -> None:
    submit()
    assert ask(method, "/v1/sessions/s-1", tenant="mallory")[0] == 404
    assert ask("GET", "/v1/sessions/s-1")[0] == 200


@pytest.mark.parametrize("session_id", ["", "a b", "a#b", "-a", "x" * 129])
def test_an_id_that_cannot_be_one_is_refused(world: World, session_id: str) -> None:
    status, problem = submit(session_id=session_id)
    assert (status, problem["code"]) == (400, "invalid_request")
    assert "session_id" in problem["detail"]


def test_sessions_are_listed_and_those_of_others_are_not(world: World) -> None:
    _, task = submit()
    submit(session_id="s-2")
    status, listed = ask("GET", "/v1/sessions")
    assert status == 200
    assert [session["session_id"] for session in listed["sessions"]] == ["s-1", "s-2"]
    assert listed["sessions"][0]["waiting_tasks"] == 1
    assert listed["next_cursor"] is None
    ask("POST", f"/v1/tasks/{task['task_id']}/cancel")
    ask("DELETE", "/v1/sessions/s-1")
    _, listed = ask("GET", "/v1/sessions")
    assert [session["session_id"] for session in listed["sessions"]] == ["s-2"]
    assert ask("GET", "/v1/sessions", tenant="mallory")[1]["sessions"] == []
