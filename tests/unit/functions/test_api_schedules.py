"""Schedules over HTTP."""

import json
from typing import Any

import pytest

from functions.api import current, handler
from ratchet import Agent
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.firing import Firing
from ratchet.testing.chat import says
from tests.api_wiring import wired
from tests.envelopes import LambdaContext, envelope
from tests.unit.shared.app.world import World

DAILY = {
    "schedule_expression": "cron(0 9 ? * MON-FRI *)",
    "timezone": "Europe/Berlin",
    "name": "morning",
    "end_at": "2199-01-01T00:00:00.7+01:00",
    "task": {"goal": "Sum up.", "agent": "support", "metadata": {"team": "x"}},
}


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(Agent("support", "Help.", policy="react"), chat=lambda _: says("Done."))
    monkeypatch.setattr(current, "wiring", lambda: wired(made))
    return made


def ask(
    method: str,
    path: str,
    body: object = None,
    *,
    scopes: str = "read submit",
    key: str = "",
    tenant: str = "acme",
    query: dict[str, str] | None = None,
) -> tuple[int, Any, dict[str, str]]:
    event = envelope("api/submit")
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["requestContext"]["http"]["method"] = method
    who = event["requestContext"]["authorizer"]["lambda"]
    who["scopes"], who["tenant"] = scopes, tenant
    event["body"] = None if body is None else json.dumps(body)
    event["isBase64Encoded"], event["queryStringParameters"] = False, query or {}
    event["headers"].pop("idempotency-key")
    if key:
        event["headers"]["idempotency-key"] = key
    answer = handler.lambda_handler(event, LambdaContext())  # type: ignore[arg-type]
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    text = answer["body"]
    return answer["statusCode"], json.loads(text) if text else None, headers


def test_a_schedule_is_created_read_listed_and_deleted(world: World) -> None:
    status, made, headers = ask("POST", "/v1/schedules", DAILY)
    assert status == 201
    path = headers["location"]
    assert path == f"/v1/schedules/{made['schedule_id']}"
    assert made == {
        "schedule_id": made["schedule_id"],
        "name": "morning",
        "status": "active",
        "schedule_expression": DAILY["schedule_expression"],
        "timezone": "Europe/Berlin",
        "start_at": None,
        "end_at": "2198-12-31T23:00:00.000Z",
        "agent": "support",
        "user_id": made["user_id"],
        "created_at": made["created_at"],
        "runs": 0,
        "last_run": None,
        "task": made["task"],
    }
    assert made["task"]["goal"] == "Sum up."
    assert made["task"]["metadata"] == {"team": "x"}
    assert ask("GET", path)[:2] == (200, made)
    task_id = world.run_schedule(Firing("acme", made["schedule_id"], "2026-11-23T08:00:00Z"))
    _, page, _ = ask("GET", "/v1/schedules")
    (listed,) = page["schedules"]
    run = {"scheduled_at": "2026-11-23T08:00:00Z", "task_id": task_id, "error": None}
    summary = {name: value for name, value in made.items() if name != "task"}
    assert listed == {**summary, "runs": 1, "last_run": run}
    assert ask("GET", f"/v1/tasks/{task_id}")[1]["schedule_id"] == made["schedule_id"]
    for _ in range(2):
        assert ask("DELETE", path)[:2] == (204, None)
    assert ask("GET", path)[0] == 404
    assert ask("GET", "/v1/schedules")[1] == {"schedules": [], "next_cursor": None}


def test_the_same_key_is_answered_with_the_same_schedule() -> None:
    _, first, headers = ask("POST", "/v1/schedules", DAILY, key="k")
    assert "idempotent-replay" not in headers
    status, again, headers = ask("POST", "/v1/schedules", DAILY, key="k")
    assert (status, again, headers["idempotent-replay"]) == (201, first, "true")
    status, problem, _ = ask("POST", "/v1/schedules", {**DAILY, "name": "noon"}, key="k")
    assert (status, problem["code"]) == (422, "idempotency_key_reused")


def test_another_tenant_finds_nothing_of_it() -> None:
    _, made, headers = ask("POST", "/v1/schedules", DAILY)
    path = headers["location"]
    for method in ("GET", "DELETE"):
        status, problem, _ = ask(method, path, tenant="globex")
        assert (status, problem["code"]) == (404, "not_found")
    assert ask("GET", "/v1/schedules", tenant="globex")[1]["schedules"] == []
    assert ask("GET", path)[:2] == (200, made)


def test_a_list_has_pages_whose_cursors_are_signed() -> None:
    ids = [ask("POST", "/v1/schedules", DAILY)[1]["schedule_id"] for _ in range(3)]
    _, first, _ = ask("GET", "/v1/schedules", query={"limit": "2"})
    cursor = first["next_cursor"]
    _, rest, _ = ask("GET", "/v1/schedules", query={"limit": "2", "cursor": cursor})
    found = [s["schedule_id"] for s in first["schedules"] + rest["schedules"]]
    assert (found, rest["next_cursor"]) == (ids[::-1], None)
    for tenant, text in (("globex", cursor), ("acme", ids[0])):
        query = {"cursor": text}
        status, problem, _ = ask("GET", "/v1/schedules", query=query, tenant=tenant)
        assert (status, problem["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"task": None}, "invalid_request", "task: "),
        ({"task": {"goal": ""}}, "invalid_request", "task.goal"),
        ({"task": {"goal": "a", "agent": "nobody"}}, "unknown_agent", "nobody"),
        ({"goal": "a"}, "invalid_request", "goal: unknown field"),
        ({"schedule_expression": "rate(10 seconds)"}, "invalid_request", "rate(5 minutes)"),
        ({"schedule_expression": "cron(* * * * *)"}, "invalid_request", "has 5 fields"),
        ({"timezone": "Europe"}, "invalid_request", "Europe/Berlin"),
        ({"end_at": "2199-01-01"}, "invalid_request", "end_at: "),
        ({"end_at": 7_000_000_000}, "invalid_request", "write it as 20"),
        ({"start_at": "9999-12-31T23:59:59-08:00"}, "invalid_request", "years 1 to 9999 in UTC"),
        ({"end_at": "9999-12-31T23:59:59-08:00"}, "invalid_request", "years 1 to 9999 in UTC"),
        ({"end_at": "2199-01-01T00:00:00"}, "invalid_request", "timezone"),
        ({"end_at": "2020-01-01T00:00:00Z"}, "invalid_request", "end_at: it must come later"),
        ({"name": ""}, "invalid_request", "name: "),
    ],
)
def test_a_schedule_that_cannot_be_carried_out_says_why(
    world: World, change: dict[str, Any], code: str, said: str
) -> None:
    status, problem, _ = ask("POST", "/v1/schedules", {**DAILY, **change})
    assert (status, problem["code"]) == (400, code)
    assert said in problem["detail"]
    assert ask("GET", "/v1/schedules")[1]["schedules"] == []


def test_it_is_the_callers_own_users_and_its_scopes_hold() -> None:
    other = {**DAILY, "task": {"goal": "a", "user_id": "somebody else"}}
    for scopes in ("read submit", "read"):
        status, problem, _ = ask("POST", "/v1/schedules", other, scopes=scopes)
        assert (status, problem["code"]) == (403, "insufficient_scope")
    assert ask("POST", "/v1/schedules", other, scopes="admin submit")[1]["user_id"] == (
        "somebody else"
    )
    assert ask("GET", "/v1/schedules", scopes="submit")[0] == 403
    assert ask("DELETE", "/v1/schedules/x", scopes="read")[0] == 403


def test_a_service_that_is_out_is_answered_503(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise StoreUnavailable("down")

    monkeypatch.setattr(world.schedules.timers, "set", down)
    assert ask("POST", "/v1/schedules", DAILY, key="k")[0] == 503


def test_a_body_that_is_no_json_is_refused() -> None:
    event = envelope("api/submit")
    event["rawPath"] = event["requestContext"]["http"]["path"] = "/v1/schedules"
    for body in ("null", "{", '{"task": ' + "[" * 40 + "]" * 40 + "}"):
        event["body"], event["isBase64Encoded"] = body, False
        answer = handler.lambda_handler(event, LambdaContext())  # type: ignore[arg-type]
        assert answer["statusCode"] == 400
