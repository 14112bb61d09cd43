"""Batches over HTTP."""

import json
from typing import Any

import pytest

from functions.api import current, handler
from ratchet import Agent
from ratchet.contracts.limits import MAX_BATCH_TASKS
from ratchet.testing.chat import says
from tests.api_wiring import wired
from tests.envelopes import LambdaContext, envelope
from tests.unit.shared.app.world import World

THREE = {"tasks": [{"goal": f"goal {number}"} for number in range(3)]}


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(Agent("support", "Help.", policy="react"), chat=lambda _: says("Done."))
    monkeypatch.setattr(current, "wiring", lambda: wired(made))
    return made


def ask(
    method: str, path: str, body: object = None, *, scopes: str = "read submit", key: str = ""
) -> tuple[int, Any, dict[str, str]]:
    event = envelope("api/submit")
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["requestContext"]["http"]["method"] = method
    event["requestContext"]["authorizer"]["lambda"]["scopes"] = scopes
    event["body"], event["isBase64Encoded"] = json.dumps(body), False
    event["headers"].pop("idempotency-key")
    if key:
        event["headers"]["idempotency-key"] = key
    answer = handler.lambda_handler(event, LambdaContext())  # type: ignore[arg-type]
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    return answer["statusCode"], json.loads(answer["body"]), headers


def test_a_batch_is_accepted_with_the_place_to_poll() -> None:
    status, batch, headers = ask("POST", "/v1/batches", THREE)
    assert (status, batch["total"], batch["statuses"]) == (202, 3, {"queued": 3})
    status, read, _ = ask("GET", headers["location"])
    assert (status, read) == (200, batch)


def test_the_same_key_is_answered_with_the_same_batch() -> None:
    _, first, headers = ask("POST", "/v1/batches", THREE, key="k")
    assert "idempotent-replay" not in headers
    status, again, headers = ask("POST", "/v1/batches", THREE, key="k")
    assert (status, again, headers["idempotent-replay"]) == (202, first, "true")
    status, problem, _ = ask("POST", "/v1/batches", {"tasks": THREE["tasks"][:2]}, key="k")
    assert (status, problem["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "tasks: is required"),
        ({"tasks": []}, "at least 1 item"),
        ({"tasks": [{"goal": "a"}] * (MAX_BATCH_TASKS + 1)}, f"at most {MAX_BATCH_TASKS} items"),
        ({"tasks": [{"goal": "a", "session_id": "s"}]}, "tasks.0.session_id: unknown field"),
        ({"tasks": [{"goal": "a"}, {"goal": "b", "limits": {"max_steps": 4_000}}]}, "tasks.1: "),
    ],
)
def test_a_batch_that_cannot_be_carried_out_says_why(body: object, said: str, world: World) -> None:
    status, problem, _ = ask("POST", "/v1/batches", body)
    assert (status, problem["code"]) == (400, "invalid_request")
    assert said in problem["detail"]
    assert world.due() == set()


def test_every_task_of_a_batch_is_the_callers_own_users() -> None:
    other = {"tasks": [{"goal": "a"}, {"goal": "b", "user_id": "somebody else"}]}
    status, problem, _ = ask("POST", "/v1/batches", other)
    assert (status, problem["code"]) == (403, "insufficient_scope")
    assert ask("POST", "/v1/batches", other, scopes="admin submit")[0] == 202


def test_a_body_that_is_no_json_or_too_deep_is_refused() -> None:
    deep: Any = []
    for _ in range(40):
        deep = [deep]
    status, problem, _ = ask("POST", "/v1/batches", {"tasks": deep})
    assert status == 400
    assert "levels deep" in problem["detail"]
