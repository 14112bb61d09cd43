import httpx

from tests.unit.shared.cli.conftest import TASK_ID, Command, FakeApi, ok, step, steps, task

PATH = f"/v1/tasks/{TASK_ID}"


def test_a_task_goes_on_under_the_limits_that_it_had(api: FakeApi, ratchet: Command) -> None:
    api.on(f"POST {PATH}/resume", ok(task("queued")))

    done = ratchet("resume", TASK_ID)

    assert (done.code, done.out) == (0, f"{TASK_ID}  queued\n")
    assert f"ratchet watch {TASK_ID}" in done.err
    assert api.last_json == {}
    assert ratchet("resume", TASK_ID, "--json").json == task("queued")


def test_every_limit_reaches_the_api(api: FakeApi, ratchet: Command) -> None:
    api.on(f"POST {PATH}/resume", ok(task("queued")))

    ratchet(
        *("resume", TASK_ID, "--max-cost", "0.25", "--max-steps", "9"),
        *("--max-tokens", "5000", "--deadline", "60"),
    )

    limits = {"max_cost_usd": 0.25, "max_steps": 9, "max_tokens": 5000, "deadline_seconds": 60}
    assert api.last_json == {"limits": limits}


def test_an_upgrade_is_asked_for_and_otherwise_told_of(api: FakeApi, ratchet: Command) -> None:
    api.on(f"POST {PATH}/resume", ok(task("queued")))

    assert "--upgrade" in ratchet("resume", TASK_ID).err
    assert "--upgrade" not in ratchet("resume", TASK_ID, "--upgrade").err

    assert api.last_json == {"upgrade": True}


def test_watch_shows_every_step_though_the_resume_took_a_number(
    api: FakeApi, ratchet: Command
) -> None:
    before, after, last = step(1), step(3), step(4)
    api.on(f"POST {PATH}/resume", ok(task("queued", 1)))
    api.on(f"GET {PATH}", ok(task("queued", 1)), ok(task("running", 2)), ok(task(steps=3)))
    api.on(
        f"GET {PATH}/steps",
        ok(steps(before)),
        ok(steps(before, after)),
        ok(steps(before, after, last)),
    )

    done = ratchet("resume", TASK_ID, "--watch", "--json")

    shown = [e["data"]["number"] for e in done.lines if e["type"] == "step.completed"]
    assert (done.code, shown) == (0, [1, 3, 4])
    assert done.lines[-1]["type"] == "task.succeeded"


def test_a_refusal_says_what_to_do_instead(api: FakeApi, ratchet: Command) -> None:
    problem = {
        "type": "urn:ratchet:problem:not_resumable",
        "title": "The task cannot go on",
        "status": 409,
        "detail": "Submit a new task instead",
        "code": "not_resumable",
        "errors": [],
    }
    api.on(f"POST {PATH}/resume", httpx.Response(409, json=problem))

    done = ratchet("resume", TASK_ID, "--json")

    assert (done.code, done.out) == (1, "")
    assert "Submit a new task instead" in done.err
