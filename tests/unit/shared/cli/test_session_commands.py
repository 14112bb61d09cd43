from typing import Any

from tests.unit.shared.cli.conftest import TASK_ID, Command, FakeApi, ok


def summary(session_id: str) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "running_task_id": TASK_ID,
        "waiting_tasks": 2,
        "history_tokens": 1234,
        "updated_at": "2026-11-22T10:00:00.000Z",
    }


SESSION = {
    "session_id": "talk",
    "running_task_id": None,
    "waiting_task_ids": [TASK_ID],
    "history_task_ids": ["task_a", "task_b"],
    "history_tokens": 1234,
    "tasks": [
        {
            "task_id": TASK_ID,
            "status": "queued",
            "agent": "support",
            "user_id": "ann",
            "created_at": "2026-11-22T10:00:00.000Z",
            "updated_at": "2026-11-22T10:00:00.000Z",
        }
    ],
    "next_cursor": "more",
}


def test_sessions_are_listed_over_pages(api: FakeApi, ratchet: Command) -> None:
    first = {"sessions": [summary("a")], "next_cursor": "more"}
    last = {"sessions": [summary("b")], "next_cursor": None}
    api.on("GET /v1/sessions", ok(first), ok(last))
    done = ratchet("sessions", "list")
    rows = [line.split() for line in done.out.splitlines()[1:]]
    assert [row[:4] for row in rows] == [
        ["a", TASK_ID, "2", "1,234"],
        ["b", TASK_ID, "2", "1,234"],
    ]
    assert [dict(r.url.params).get("cursor") for r in api.requests] == [None, "more"]
    api.on("GET /v1/sessions", ok(first))
    done = ratchet("sessions", "list", "--limit", "1", "--json")
    assert done.json == first
    assert "--limit" in ratchet("sessions", "list", "--limit", "1").err


def test_without_sessions_one_is_told_how_to_begin(api: FakeApi, ratchet: Command) -> None:
    api.on("GET /v1/sessions", ok({"sessions": [], "next_cursor": None}))
    assert "ratchet submit --session" in ratchet("sessions", "list").err


def test_a_session_is_shown_with_its_tasks(api: FakeApi, ratchet: Command) -> None:
    api.on("GET /v1/sessions/talk", ok(SESSION))
    done = ratchet("sessions", "show", "talk")
    assert f"waiting: {TASK_ID}" in done.out
    assert "told:    2 tasks, 1,234 tokens" in done.out
    assert "queued" in done.out
    assert "older tasks" in done.err
    assert ratchet("sessions", "show", "talk", "--json").json == SESSION


def test_deleting_a_session_says_what_it_deleted(api: FakeApi, ratchet: Command) -> None:
    answer = {"session_id": "talk", "deleted_task_ids": [TASK_ID], "deleted_items": 4}
    api.on("DELETE /v1/sessions/talk", ok(answer))
    done = ratchet("sessions", "delete", "talk")
    assert (done.out, "1 tasks, 4 items" in done.err) == (f"{TASK_ID}\n", True)
    assert ratchet("sessions", "delete", "talk", "--json").json == answer


def test_what_is_typed_leads_to_no_other_resource(api: FakeApi, ratchet: Command) -> None:
    def refuse(request: Any) -> Any:
        assert request.url.raw_path == b"/v1/sessions/..%2Ftasks"
        return ok(SESSION)

    api.on("GET /v1/sessions/../tasks", refuse)
    assert ratchet("sessions", "show", "../tasks").code == 0
