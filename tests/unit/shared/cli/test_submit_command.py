import io

import httpx
import pytest

from tests.unit.shared.cli.conftest import TASK_ID, Command, FakeApi, ok, step, steps, task

PATH = f"/v1/tasks/{TASK_ID}"


def test_goal_becomes_a_task(api: FakeApi, ratchet: Command) -> None:
    api.on("POST /v1/tasks", ok(task("queued", 0)))

    done = ratchet("submit", "What size battery?")

    assert done.code == 0
    assert done.out == f"{TASK_ID}  queued  (agent research)\n"
    assert f"ratchet watch {TASK_ID}" in done.err
    assert api.last_json == {"goal": "What size battery?"}
    assert api.requests[-1].headers["x-api-key"] == "key-1"
    assert api.requests[-1].headers["idempotency-key"].startswith("cli-")


def test_every_option_reaches_the_api(api: FakeApi, ratchet: Command) -> None:
    api.on("POST /v1/tasks", ok(task("queued", 0)))

    ratchet(
        *("submit", "go", "--agent", "support", "--user", "u1", "--webhook", "https://x.test/h"),
        *("--max-cost", "0.25", "--max-steps", "9", "--deadline", "60", "--complexity", "complex"),
        *("--metadata", "ticket=1=2", "--metadata", "empty=", "--idempotency-key", "k"),
    )

    assert api.last_json == {
        "goal": "go",
        "agent": "support",
        "user_id": "u1",
        "complexity": "complex",
        "webhook": {"url": "https://x.test/h"},
        "limits": {"max_cost_usd": 0.25, "max_steps": 9, "deadline_seconds": 60},
        "metadata": {"ticket": "1=2", "empty": ""},
    }
    assert api.requests[-1].headers["idempotency-key"] == "k"


def test_goal_comes_from_stdin(
    api: FakeApi, ratchet: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.on("POST /v1/tasks", ok(task("queued", 0)))
    monkeypatch.setattr("sys.stdin", io.StringIO("a long goal"))

    ratchet("submit", "-")

    assert api.last_json == {"goal": "a long goal"}


def test_json_is_the_answer(api: FakeApi, ratchet: Command) -> None:
    api.on("POST /v1/tasks", ok(task("queued", 0)))

    assert ratchet("submit", "go", "--json").json == task("queued", 0)


def test_wait_polls_until_the_end(api: FakeApi, ratchet: Command) -> None:
    api.on("POST /v1/tasks", ok(task("running", 1)))
    api.on(f"GET {PATH}", ok(task("running", 1)), ok(task()))

    done = ratchet("submit", "go", "--wait")

    assert done.code == 0
    assert "answer: 195 Ah" in done.out
    assert [r.url.params.get("wait") for r in api.requests] == ["25", "25", "25"]


@pytest.mark.parametrize(
    ("at", "says"),
    [("POST /v1/tasks", "ratchet list"), (f"GET /v1/tasks/{TASK_ID}", f"ratchet watch {TASK_ID}")],
)
def test_ctrl_c_while_waiting_says_that_the_task_goes_on(
    api: FakeApi, ratchet: Command, at: str, says: str
) -> None:
    def stop(_request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    api.on("POST /v1/tasks", ok(task("running", 1)))
    api.on(at, stop)
    done = ratchet("submit", "go", "--wait")
    assert done.code == 130
    assert says in done.err


def test_wait_exits_1_when_the_task_fails(api: FakeApi, ratchet: Command) -> None:
    api.on("POST /v1/tasks", ok(task("failed")))

    done = ratchet("submit", "go", "--wait", "--json")

    assert done.code == 1
    assert done.json["status"] == "failed"


def test_watch_follows_the_new_task(api: FakeApi, ratchet: Command) -> None:
    api.on("POST /v1/tasks", ok(task("queued", 0)))
    api.on(f"GET {PATH}", ok(task(steps=1)))
    api.on(f"GET {PATH}/steps", ok(steps(step(1))))

    done = ratchet("submit", "go", "--watch", "--json")

    assert [event["type"] for event in done.lines] == ["step.completed", "task.succeeded"]


@pytest.mark.parametrize("pair", ["novalue", "=x", ""])
def test_bad_metadata_is_refused_before_anything_is_sent(
    api: FakeApi, ratchet: Command, pair: str
) -> None:
    done = ratchet("submit", "go", "--metadata", pair)

    assert done.code == 1
    assert "is not KEY=VALUE" in done.err
    assert api.requests == []


def test_missing_goal_is_a_usage_error(ratchet: Command) -> None:
    done = ratchet("submit")

    assert done.code == 2
    assert done.out == ""
