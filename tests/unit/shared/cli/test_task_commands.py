import httpx
import pytest

from tests.unit.shared.cli.conftest import TASK_ID, Command, FakeApi, ok, step, steps, task

PATH = f"/v1/tasks/{TASK_ID}"


def test_watch_shows_each_step_once_then_total_and_result(api: FakeApi, ratchet: Command) -> None:
    api.on(f"GET {PATH}", ok(task("running", 1)), ok(task("running", 1)), ok(task()))
    api.on(f"GET {PATH}/steps", ok(steps(step(1))), ok(steps(step(1), step(2, model="gpt-4o"))))

    done = ratchet("watch", TASK_ID)

    assert done.code == 0
    assert done.out.count("gpt-4o-mini") == 1
    assert "search_documents" in done.out
    assert "x2 (1 failed)" in done.out
    assert "617 (500)" in done.out
    assert "total: 2 steps, 1,234 (1,000) tokens, $0.001234, 1500 ms" in done.out
    assert "answer: 195 Ah\nsources: sizing, safety" in done.out


def test_a_step_that_summarized_the_history_is_shown_as_such(
    api: FakeApi, ratchet: Command
) -> None:
    api.on(f"GET {PATH}", ok(task()))
    api.on(f"GET {PATH}/steps", ok(steps(step(1), step(2, type="reasoning", purpose="compaction"))))

    shown = ratchet("show", TASK_ID).out

    assert "compaction" in shown
    assert "reasoning" not in shown


def test_piped_output_has_no_escape_codes_and_fits_100_columns(
    api: FakeApi, ratchet: Command
) -> None:
    api.on(f"GET {PATH}", ok(task(result={"answer": "word " * 200})))
    api.on(f"GET {PATH}/steps", ok(steps(step(1, type="final_synthesis", reason="failover " * 9))))

    done = ratchet("watch", TASK_ID)

    assert "\x1b" not in done.out
    assert max(map(len, done.out.splitlines())) <= 100


def test_watch_as_json_lines_ends_with_the_terminal_event(api: FakeApi, ratchet: Command) -> None:
    api.on(f"GET {PATH}", ok(task("queued", 0)), ok(task("running", 1)), ok(task()))
    api.on(f"GET {PATH}/steps", ok(steps(step(1))), ok(steps(step(1), step(2))))

    events = ratchet("watch", TASK_ID, "--json").lines

    assert [e["type"] for e in events] == [
        "task.queued",
        "step.completed",
        "task.running",
        "step.completed",
        "task.succeeded",
    ]
    assert [e["data"]["number"] for e in events if e["type"] == "step.completed"] == [1, 2]
    assert events[1]["timestamp"] == "2026-01-01T00:00:00.040Z"


@pytest.mark.parametrize("status", ["failed", "cancelled", "timed_out", "budget_exceeded"])
def test_watch_of_a_task_that_did_not_succeed_exits_1(
    api: FakeApi, ratchet: Command, status: str
) -> None:
    error = {"code": "model_output", "message": "no answer was usable"}
    api.on(f"GET {PATH}", ok(task(status, 0, error=error)))

    done = ratchet("watch", TASK_ID)

    assert done.code == 1
    assert "model_output: no answer was usable" in done.out


def test_watch_asks_the_api_to_hold_its_answer_and_does_not_hammer(
    api: FakeApi, ratchet: Command, pauses: list[float]
) -> None:
    api.on(f"GET {PATH}", ok(task("running", 0)), ok(task("running", 0)), ok(task("succeeded", 0)))

    ratchet("watch", TASK_ID)

    assert [r.url.params.get("wait") for r in api.requests] == [None, "2", "2"]
    assert pauses == [0.25]


def test_show_prints_goal_steps_and_outcome(api: FakeApi, ratchet: Command) -> None:
    api.on(f"GET {PATH}", ok(task()))
    api.on(f"GET {PATH}/steps", ok(steps(step(1))))

    done = ratchet("show", TASK_ID)

    assert done.code == 0
    assert "goal:    What size battery?" in done.out
    assert "tool_dispatch" in done.out
    assert f"{TASK_ID} succeeded" in done.out


def test_nothing_that_is_shown_talks_to_the_terminal(api: FakeApi, ratchet: Command) -> None:
    hostile = "a\x1b]52;c;cm0gLXJm\x07b\x9b2Jc\u202ed\re"
    failed = {"code": "model_output", "message": hostile}
    api.on(f"GET {PATH}", ok(task(goal=hostile, result={"answer": hostile}, error=failed)))
    api.on(f"GET {PATH}/steps", ok(steps(step(1, reason=hostile))))
    shown = ratchet("show", TASK_ID).out
    assert not set("\x1b\x07\x9b\u202e\r") & set(shown)
    assert shown.count("\ufffd]52;c;cm0gLXJm\ufffdb\ufffd2Jc\ufffdd\ufffde") == 3


def test_show_says_what_a_fork_comes_from(api: FakeApi, ratchet: Command) -> None:
    api.on(f"GET {PATH}", ok(task(parent={"task_id": "task_1", "step": 4})))
    api.on(f"GET {PATH}/steps", ok(steps(step(1))))

    assert "parent:  task_1, forked from step 4\n" in ratchet("show", TASK_ID).out


def test_show_as_json_is_the_task_with_its_steps(api: FakeApi, ratchet: Command) -> None:
    api.on(f"GET {PATH}", ok(task()))
    api.on(f"GET {PATH}/steps", ok(steps(step(1))))

    shown = ratchet("show", TASK_ID, "--json").json

    assert shown == {**task(), "steps": [step(1)]}


def summary(number: int) -> dict[str, str | None]:
    return {
        "task_id": f"task_{number}",
        "status": "running",
        "agent": "support",
        "user_id": None,
        "created_at": "2026-01-01T00:00:00.000Z",
        "updated_at": "2026-01-01T00:00:00.000Z",
    }


def test_list_follows_pages_up_to_the_limit(api: FakeApi, ratchet: Command) -> None:
    first = {"tasks": [summary(n) for n in range(100)], "next_cursor": "c1"}
    second = {"tasks": [summary(n) for n in range(100, 120)], "next_cursor": "c2"}
    api.on("GET /v1/tasks", ok(first), ok(second))

    listed = ratchet(
        "list", "--status", "running", "--agent", "support", "--limit", "120", "--json"
    )

    assert len(listed.json["tasks"]) == 120
    assert dict(api.requests[1].url.params) == {
        "status": "running",
        "agent": "support",
        "limit": "20",
        "cursor": "c1",
    }


def test_list_says_when_there_is_nothing_or_more(api: FakeApi, ratchet: Command) -> None:
    api.on(
        "GET /v1/tasks",
        ok({"tasks": [], "next_cursor": None}),
        ok({"tasks": [summary(1)], "next_cursor": "c1"}),
    )

    assert "No tasks" in ratchet("list").err
    more = ratchet("list", "--limit", "1")
    assert "task_1" in more.out
    assert "--limit" in more.err


def test_unknown_status_is_a_usage_error(ratchet: Command) -> None:
    assert ratchet("list", "--status", "done").code == 2


def test_cancel_prints_the_status(api: FakeApi, ratchet: Command) -> None:
    api.on(f"POST {PATH}/cancel", ok(task("cancelled")))

    assert ratchet("cancel", TASK_ID).out == f"{TASK_ID}  cancelled\n"
    assert ratchet("cancel", TASK_ID, "--json").json["status"] == "cancelled"


def test_agents_are_listed_with_their_limits(api: FakeApi, ratchet: Command) -> None:
    agent = {
        "name": "research",
        "version": "abc",
        "description": "Answers questions.",
        "policy": "plan_act",
        "tools": ["search_documents"],
        "limits": task()["limits"],
    }
    api.on("GET /v1/agents", ok({"agents": [agent], "default_agent": "research"}))

    shown = ratchet("agents").out

    assert "research  (default)" in shown
    assert "Answers questions." in shown
    assert ratchet("agents", "--json").json["default_agent"] == "research"


def test_task_id_cannot_lead_elsewhere(api: FakeApi, ratchet: Command) -> None:
    api.on("GET /v1/tasks/a/../../agents?x", httpx.Response(404, json={"message": "Not Found"}))

    done = ratchet("watch", "a/../../agents?x")

    assert done.code == 1
    assert api.requests[0].url.raw_path == b"/v1/tasks/a%2F..%2F..%2Fagents%3Fx"
