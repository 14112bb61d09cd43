"""The `ratchet` command against the stack: its exit codes, and its one JSON document."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cdk.bundling import ROOT
from tests.e2e.goals import RESEARCH_STEPS, research
from tests.e2e.stage import Json, Stage

Command = Callable[..., subprocess.CompletedProcess[str]]
_SECONDS = 120


def command_of(stage: Stage, folder: Path) -> Command:
    """Runs a command as a user of this stack would, away from the checkout."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT / "shared"), str(ROOT)]),
        "RATCHET_API_URL": stage.stack.api_url,
        "RATCHET_API_KEY": stage.stack.api_key,
    }

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "ratchet.cli.main", *arguments],
            cwd=folder,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    return run


@pytest.fixture
def ratchet(stage: Stage, tmp_path: Path) -> Command:
    """The command line of the shared stack."""
    return command_of(stage, tmp_path)


def _document(done: subprocess.CompletedProcess[str], code: int = 0) -> Json:
    """The one document of a command that wrote nothing else."""
    assert (done.returncode, done.stderr) == (code, "")
    return json.loads(done.stdout)


def test_submit_waits_for_the_result(stage: Stage, ratchet: Command) -> None:
    goal = research("cli-submit")
    task = _document(ratchet("submit", "-", "--json", "--wait", "--user", "ada", stdin=goal))
    assert task == stage.task(task["task_id"])
    assert (task["status"], task["goal"], task["user_id"]) == ("succeeded", goal, "ada")


def test_a_task_that_fails_is_exit_code_1(stage: Stage, ratchet: Command) -> None:
    stage.inject(status=401, goal=re.compile("cli-fails"))
    task = _document(ratchet("submit", research("cli-fails"), "--json", "--wait"), code=1)
    assert (task["status"], task["error"]["code"]) == ("failed", "model_rejected")


def test_watch_follows_a_task_to_its_end(stage: Stage, ratchet: Command) -> None:
    task_id = stage.submit(research("cli-watch"))
    done = ratchet("watch", task_id, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    steps = [event["data"] for event in events if event["type"] == "step.completed"]
    assert steps == stage.steps(task_id)
    assert len(steps) == RESEARCH_STEPS
    assert events[-1]["type"] == "task.succeeded"
    assert events[-1]["data"] == stage.task(task_id)


def test_show_list_and_agents_tell_what_the_api_tells(stage: Stage, ratchet: Command) -> None:
    task = stage.outcome(stage.submit(research("cli-show")))
    shown = _document(ratchet("show", task["task_id"], "--json"))
    assert shown == {**task, "steps": stage.steps(task["task_id"])}
    listed = _document(ratchet("list", "--json", "--limit", "2", "--status", "succeeded"))
    assert len(listed["tasks"]) == 2
    assert listed["tasks"][0]["task_id"] == task["task_id"]
    agents = _document(ratchet("agents", "--json"))
    assert [agent["name"] for agent in agents["agents"]] == ["research", "support"]


def test_show_is_readable_too(stage: Stage, ratchet: Command) -> None:
    task = stage.outcome(stage.submit(research("cli-read")))
    done = ratchet("show", task["task_id"])
    assert (done.returncode, done.stderr) == (0, "")
    for text in ("cli-read", "final_synthesis", "gpt-4o-mini", "succeeded"):
        assert text in done.stdout


def test_cancel_ends_a_task_and_refuses_one_that_has_ended(stage: Stage, ratchet: Command) -> None:
    stage.inject(status=429, retry_after=300, goal=re.compile("cli-cancel"))
    task_id = stage.submit(research("cli-cancel"))
    assert _document(ratchet("cancel", task_id, "--json"))["status"] == "cancelled"
    ended = stage.outcome(stage.submit(research("cli-ended")))
    refused = ratchet("cancel", ended["task_id"], "--json")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "read its result instead" in refused.stderr


def test_resume_lets_a_failed_task_go_on(stage: Stage, ratchet: Command) -> None:
    stage.inject(status=401, goal=re.compile("cli-resume"), turn=2)
    failed = _document(ratchet("submit", research("cli-resume"), "--json", "--wait"), code=1)
    stage.announced(failed["task_id"])
    done = ratchet("resume", failed["task_id"], "--max-steps", "20", "--watch", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    steps = [event["data"] for event in events if event["type"] == "step.completed"]
    assert steps == stage.steps(failed["task_id"])
    assert len(steps) == RESEARCH_STEPS, "the try that was refused did nothing: it is no step"
    assert events[-1]["data"] == stage.task(failed["task_id"])
    assert events[-1]["data"]["limits"]["max_steps"] == 20
    types = [
        m["MessageAttributes"]["type"]["StringValue"] for m in stage.announced(failed["task_id"])
    ]
    assert types == ["task.failed", "task.succeeded"]
    refused = ratchet("resume", failed["task_id"])
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "Submit a new task instead" in refused.stderr


def test_what_is_wrong_is_told_with_what_to_do(ratchet: Command) -> None:
    unknown = ratchet("show", "task_01ARZ3NDEKTSV4RRFFQ69G5FAV", "--json")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "GET /v1/tasks lists yours" in unknown.stderr
    wrong_usage = ratchet("submit", "--no-such-option")
    assert (wrong_usage.returncode, wrong_usage.stdout) == (2, "")
