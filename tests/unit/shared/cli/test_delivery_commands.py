from typing import Any

from tests.unit.shared.cli.conftest import TASK_ID, Command, FakeApi, ok

EVENT = f"evt_{TASK_ID.removeprefix('task_')}_3_task_succeeded"
PATH = f"/v1/tasks/{TASK_ID}/deliveries"


def delivery(channel: str = "webhook", **changes: Any) -> dict[str, Any]:
    return {
        "id": f"{EVENT}.{channel}",
        "event_id": EVENT,
        "type": "task.succeeded",
        "channel": channel,
        "status": "dead",
        "tries": 1,
        "next_try_at": None,
        "attempts": [{"at": "2026-11-22T10:00:00.000Z", "ok": False, "detail": "[red] 410 Gone"}],
        **changes,
    }


def dead(number: int) -> dict[str, Any]:
    return {
        "task_id": f"task_{number:026d}",
        "id": f"evt_{number:026d}_1_task_failed.webhook",
        "type": "task.failed",
        "channel": "webhook",
    }


def test_the_deliveries_of_a_task_are_shown_with_every_try(api: FakeApi, ratchet: Command) -> None:
    later = delivery("sns", status="pending", tries=2, next_try_at="2026-11-22T12:00:00.000Z")
    answer = {"deliveries": [delivery(), later]}
    api.on(f"GET {PATH}", ok(answer), ok(answer))
    done = ratchet("deliveries", TASK_ID)
    assert done.code == 0
    lines = [line.strip() for line in done.out.splitlines()]
    assert lines[:3] == [
        "dead      task.succeeded  webhook  1 try",
        f"{EVENT}.webhook",
        "2026-11-22T10:00:00.000Z  [red] 410 Gone",
    ]
    assert lines[3] == "pending   task.succeeded  sns  2 tries"
    assert lines[-1] == "next try: 2026-11-22T12:00:00.000Z"
    assert ratchet("deliveries", TASK_ID, "--json").json == answer


def test_a_task_without_announcements_says_why(api: FakeApi, ratchet: Command) -> None:
    api.on(f"GET {PATH}", ok({"deliveries": []}))
    done = ratchet("deliveries", TASK_ID)
    assert "nothing to announce yet" in done.err


def test_without_a_task_the_dead_ones_are_listed_over_pages(api: FakeApi, ratchet: Command) -> None:
    first = {"deliveries": [dead(3), dead(2)], "next_cursor": "more"}
    last = {"deliveries": [dead(1)], "next_cursor": None}
    api.on("GET /v1/deliveries", ok(first), ok(last))
    done = ratchet("deliveries")
    assert [line.split()[0] for line in done.out.splitlines()] == [
        dead(n)["task_id"] for n in (3, 2, 1)
    ]
    assert "ratchet redeliver" in done.err
    assert [dict(r.url.params).get("cursor") for r in api.requests] == [None, "more"]


def test_a_limit_is_kept_to_and_more_are_hinted_at(api: FakeApi, ratchet: Command) -> None:
    api.on("GET /v1/deliveries", ok({"deliveries": [dead(3)], "next_cursor": "more"}))
    done = ratchet("deliveries", "--limit", "1")
    assert dict(api.requests[-1].url.params) == {"limit": "1"}
    assert "--limit" in done.err


def test_nothing_dead_is_said(api: FakeApi, ratchet: Command) -> None:
    api.on("GET /v1/deliveries", ok({"deliveries": [], "next_cursor": None}))
    assert "No announcement was given up" in ratchet("deliveries").err


def test_an_announcement_is_sent_again(api: FakeApi, ratchet: Command) -> None:
    sent = delivery(status="pending", next_try_at="2026-11-22T12:00:00.000Z")
    api.on(f"POST {PATH}/{EVENT}.webhook/redeliver", ok(sent), ok(sent))
    done = ratchet("redeliver", TASK_ID, f"{EVENT}.webhook")
    assert done.code == 0
    assert f"ratchet deliveries {TASK_ID}" in done.err
    assert ratchet("redeliver", TASK_ID, f"{EVENT}.webhook", "--json").json == sent
