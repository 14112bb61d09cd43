import pytest

from tests.unit.shared.cli.conftest import TASK_ID, Command, FakeApi, ok, step, steps, task

PATH = f"/v1/tasks/{TASK_ID}"
FORK_ID = "task_01J8Z0000000000000000000CD"
FORKED = {**task("queued", 0), "task_id": FORK_ID, "parent": {"task_id": TASK_ID, "step": 4}}


def test_a_task_is_forked_from_its_last_step(api: FakeApi, ratchet: Command) -> None:
    api.on(f"POST {PATH}/fork", ok(FORKED))

    done = ratchet("fork", TASK_ID)

    told = f"{FORK_ID}  queued  (agent research, from step 4 of {TASK_ID})\n"
    assert (done.code, done.out) == (0, told)
    assert f"ratchet watch {FORK_ID}" in done.err
    assert api.last_json == {}
    assert api.requests[-1].headers["Idempotency-Key"].startswith("cli-")
    assert ratchet("fork", TASK_ID, "--json").json == FORKED


def test_every_option_reaches_the_api(api: FakeApi, ratchet: Command) -> None:
    api.on(f"POST {PATH}/fork", ok(FORKED))

    ratchet(
        *("fork", TASK_ID, "--step", "0", "--model", "o3", "--instruction", "Be brief."),
        *("--tool-answer", "c1=a=b", "--tool-answer", "c2=", "--metadata", "try=2"),
        *("--max-cost", "0.25", "--max-steps", "9", "--max-tokens", "5000", "--deadline", "60"),
        *("--webhook", "https://example.com/h", "--idempotency-key", "k"),
    )

    assert api.last_json == {
        "step": 0,
        "model": "o3",
        "instruction": "Be brief.",
        "tool_answers": {"c1": "a=b", "c2": ""},
        "metadata": {"try": "2"},
        "limits": {
            "max_cost_usd": 0.25,
            "max_steps": 9,
            "max_tokens": 5000,
            "deadline_seconds": 60,
        },
        "webhook": {"url": "https://example.com/h"},
    }
    assert api.requests[-1].headers["Idempotency-Key"] == "k"


def test_watch_follows_the_fork(api: FakeApi, ratchet: Command) -> None:
    api.on(f"POST {PATH}/fork", ok(FORKED))
    api.on(f"GET /v1/tasks/{FORK_ID}", ok({**task(steps=1), "task_id": FORK_ID}))
    api.on(f"GET /v1/tasks/{FORK_ID}/steps", ok(steps(step(1))))

    done = ratchet("fork", TASK_ID, "--watch", "--json")

    assert (done.code, done.lines[-1]["type"]) == (0, "task.succeeded")
    assert done.lines[-1]["data"]["task_id"] == FORK_ID


@pytest.mark.parametrize("pair", ["c1", "=x"])
def test_a_tool_answer_that_is_no_pair_is_refused(
    api: FakeApi, ratchet: Command, pair: str
) -> None:
    done = ratchet("fork", TASK_ID, "--tool-answer", pair)

    assert (done.code, api.requests) == (1, [])
    assert f"--tool-answer {pair!r} is not KEY=VALUE" in done.err
    assert "Say --tool-answer call_1=TEXT." in done.err
