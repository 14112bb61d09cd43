"""A fork goes on from a step of its parent, with the parent's effects behind it and a bill of its own."""

import json

from tests.e2e.goals import RESEARCH_STEPS, refund, research
from tests.e2e.stage import Json, Stage
from tests.e2e.test_command_line import Command, ratchet  # noqa: F401 - a fixture


def _step_with(stage: Stage, task_id: str, tool: str) -> Json:
    used = (s for s in stage.steps(task_id) if tool in {t["name"] for t in s["tools"]})
    return next(used)


def test_a_fork_after_a_refund_does_not_pay_again(stage: Stage) -> None:
    parent = stage.outcome(stage.submit(refund("fork", "A-1008"), agent="support"))
    paid = _step_with(stage, parent["task_id"], "refund")
    answer = stage.http.post(
        f"/v1/tasks/{parent['task_id']}/fork",
        json={"step": paid["number"], "model": "gpt-4.1"},
        headers={"Idempotency-Key": "fork of a refund"},
    )
    assert answer.status_code == 202, answer.text
    fork = stage.outcome(answer.json()["task_id"])
    assert fork["parent"] == {"task_id": parent["task_id"], "step": paid["number"]}
    assert (fork["status"], fork["result"]) == ("succeeded", parent["result"])
    steps, before = stage.steps(fork["task_id"]), stage.steps(parent["task_id"])
    assert [s["type"] for s in steps] == [s["type"] for s in before[paid["number"] :]]
    assert {(s["model"], s["reason"]) for s in steps} == {("gpt-4.1", "task's own model")}
    assert fork["progress"]["steps"] == len(steps)
    assert fork["cost_usd"] == sum(s["cost_usd"] for s in steps)
    payers = [e["task_id"] for e in stage.refunds() if e["order_id"] == "A-1008"]
    assert payers.count(parent["task_id"]) == 1
    assert fork["task_id"] not in payers
    again = stage.http.post(
        f"/v1/tasks/{parent['task_id']}/fork",
        json={"step": paid["number"], "model": "gpt-4.1"},
        headers={"Idempotency-Key": "fork of a refund"},
    )
    assert again.headers["Idempotent-Replay"] == "true"
    assert again.json() == fork


def test_a_fork_asks_the_provider_what_its_parent_asked(stage: Stage) -> None:
    parent = stage.outcome(stage.submit(research("fork-prompt")))
    before = {r.turn: r.messages for r in stage.asked("fork-prompt")}
    answer = stage.http.post(f"/v1/tasks/{parent['task_id']}/fork", json={"step": 4})
    fork = stage.outcome(answer.json()["task_id"])
    assert fork["result"] == parent["result"]
    asked = stage.asked("fork-prompt")[RESEARCH_STEPS:]
    assert [(r.turn, r.messages) for r in asked] == [
        (turn, before[turn]) for turn in range(4, RESEARCH_STEPS)
    ]


def test_the_command_line_forks_and_follows(stage: Stage, ratchet: Command) -> None:  # noqa: F811
    parent = stage.outcome(stage.submit(research("cli-fork")))
    done = ratchet(
        *("fork", parent["task_id"], "--step", "5", "--instruction", "Be brief."),
        *("--watch", "--json"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["type"] == "task.succeeded"
    assert last["data"]["progress"]["steps"] == RESEARCH_STEPS - 5
    shown = ratchet("show", last["data"]["task_id"])
    assert f"parent:  {parent['task_id']}, forked from step 5" in shown.stdout
    said = stage.asked("cli-fork")[-1].messages
    assert "[ratchet:fork] Be brief." in [m["content"] for m in said if m["role"] == "user"]
    refused = ratchet("fork", parent["task_id"], "--step", "99")
    assert refused.returncode == 1
    assert "choose one from 0 (its beginning) to 7" in refused.stderr
