import json
from typing import Any

import httpx

from tests.unit.shared.cli.conftest import TASK_ID, Command, FakeApi, ok

ID = "schedule_00000000000000000000000001"
SUMMARY: dict[str, Any] = {
    "schedule_id": ID,
    "name": "morning",
    "status": "active",
    "schedule_expression": "cron(0 9 ? * MON-FRI *)",
    "timezone": "Europe/Berlin",
    "start_at": None,
    "end_at": "2027-01-01T00:00:00.000Z",
    "agent": None,
    "user_id": None,
    "created_at": "2026-11-22T10:00:00.000Z",
    "runs": 3,
    "last_run": {"scheduled_at": "2026-11-23T08:00:00Z", "task_id": TASK_ID, "error": None},
}
WHOLE = {**SUMMARY, "task": {"goal": "Sum [up]."}}


def test_a_schedule_is_created_from_an_expression_and_a_goal(
    api: FakeApi, ratchet: Command
) -> None:
    api.on("POST /v1/schedules", ok(WHOLE))
    words = ["cron(0 9 ? * MON-FRI *)", "Sum [up].", "--timezone", "Europe/Berlin"]
    done = ratchet("schedules", "create", *words, "--max-cost", "0.5", "--name", "morning")
    (request,) = api.requests
    assert json.loads(request.content) == {
        "schedule_expression": "cron(0 9 ? * MON-FRI *)",
        "timezone": "Europe/Berlin",
        "name": "morning",
        "task": {"goal": "Sum [up].", "limits": {"max_cost_usd": 0.5}},
    }
    assert request.headers["Idempotency-Key"].startswith("cli-")
    assert done.out.startswith(f"{ID}  active  cron(0 9 ? * MON-FRI *) Europe/Berlin")
    assert f"ratchet schedules show {ID}" in done.err
    done = ratchet("schedules", "create", *words, "--idempotency-key", "mine", "--json")
    assert done.json["schedule_id"] == ID
    assert api.requests[-1].headers["Idempotency-Key"] == "mine"


def test_schedules_are_listed_over_pages_with_their_last_runs(
    api: FakeApi, ratchet: Command
) -> None:
    error = {"code": "tenant_suspended", "message": "it is"}
    refused = {**SUMMARY["last_run"], "task_id": None, "error": error}
    other = {**SUMMARY, "schedule_id": ID[:-1] + "2", "last_run": refused}
    api.on(
        "GET /v1/schedules",
        ok({"schedules": [SUMMARY], "next_cursor": "more"}),
        ok({"schedules": [other], "next_cursor": None}),
    )
    done = ratchet("schedules", "list", "--json")
    assert [s["schedule_id"] for s in done.json["schedules"]] == [ID, other["schedule_id"]]
    assert [dict(r.url.params).get("cursor") for r in api.requests] == [None, "more"]
    api.on("GET /v1/schedules", ok({"schedules": [SUMMARY, other], "next_cursor": "more"}))
    done = ratchet("schedules", "list", "--limit", "2")
    assert ID in done.out
    assert "tenant_suspended" in done.out
    assert "--limit" in done.err
    api.on("GET /v1/schedules", ok({"schedules": [], "next_cursor": None}))
    assert "ratchet schedules create" in ratchet("schedules", "list").err


def test_a_schedule_is_shown_with_what_it_submits(api: FakeApi, ratchet: Command) -> None:
    api.on(f"GET /v1/schedules/{ID}", ok(WHOLE))
    done = ratchet("schedules", "show", ID)
    for said in ("Sum [up].", "until 2027", TASK_ID, "the default", "runs:     3"):
        assert said in done.out
    assert ratchet("schedules", "show", ID, "--json").json["task"]["goal"] == "Sum [up]."


def test_a_schedule_is_deleted(api: FakeApi, ratchet: Command) -> None:
    api.on(f"DELETE /v1/schedules/{ID}", httpx.Response(204))
    done = ratchet("schedules", "delete", ID)
    assert done.code == 0
    assert f"{ID} runs no more" in done.err
    done = ratchet("schedules", "delete", ID, "--json")
    assert done.json == {"schedule_id": ID, "deleted": True}
