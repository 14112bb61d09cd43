"""`ratchet dev`: one line for programs, nothing left behind, and with --state everything there again."""

from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from ratchet.cli.dev_stack import DevStack
from tests.e2e.dev_process import dev, living
from tests.e2e.goals import RESEARCH_STEPS, research
from tests.e2e.stage import TERMINAL, Json, api_client
from tests.e2e.waiting import wait_until

pytestmark = pytest.mark.usefixtures("no_stage")

DOCUMENTED_KEYS = {
    *("api_url", "api_key", "endpoint_url", "region", "table", "topic_arn", "queue_url"),
    *("state_machine_arn", "function_names"),
}
FUNCTIONS = 7


@dataclass(frozen=True)
class FirstLife:
    """What a stack said about a finished task before it was killed."""

    api_key: str
    task: Json
    steps: Json
    workers: set[int]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkout")


@pytest.fixture(scope="module")
def first_life(folder: Path) -> FirstLife:
    """A stack that was killed with kill -9 right after its first task."""
    with dev(folder, "--state", "state") as running:
        ready = running.ready
        with api_client(ready["api_url"], ready["api_key"]) as http:
            task_id = http.post("/v1/tasks", json={"goal": research("first life")}).json()[
                "task_id"
            ]
            task = wait_until(lambda: _ended(http, task_id), "the end of the task")
            steps = http.get(f"/v1/tasks/{task_id}/steps").json()
        workers = running.children()
        running.process.kill()
        running.process.wait()
    assert (task["status"], len(steps["steps"])) == ("succeeded", RESEARCH_STEPS)
    return FirstLife(ready["api_key"], task, steps, workers)


def test_killed_it_leaves_no_workers_behind(first_life: FirstLife) -> None:
    assert len(first_life.workers) >= len({"api", "authorizer", "dispatcher", "step_executor"})
    wait_until(lambda: not first_life.workers & living(), "the end of the workers")


def test_what_was_answered_before_a_kill_is_there_afterwards(
    folder: Path, first_life: FirstLife
) -> None:
    with DevStack.start(state_dir=folder / "state") as stack:
        assert stack.api_key == first_life.api_key
        _assert_kept(first_life, stack.api_url)


def test_it_prints_one_line_keeps_its_state_and_ends_on_sigterm(
    folder: Path, first_life: FirstLife
) -> None:
    with dev(folder, "--state", "state") as running:
        ready = running.ready
        assert set(ready) >= DOCUMENTED_KEYS
        assert len(ready["function_names"]) == FUNCTIONS
        assert ready["api_key"] == first_life.api_key
        _assert_kept(first_life, ready["api_url"])
        with api_client(ready["api_url"], ready["api_key"]) as http:
            http.post("/v1/tasks", json={"goal": research("second life")}).raise_for_status()
        workers = running.children()
        assert workers
        assert running.terminate() == (0, "")
        wait_until(lambda: not workers & living(), "the end of the workers")
    assert not list((folder / ".ratchet").iterdir()), "the file for other terminals is gone"


def _ended(http: httpx.Client, task_id: str) -> Json:
    task = http.get(f"/v1/tasks/{task_id}", params={"wait": 25}).json()
    return task if task["status"] in TERMINAL else None


def _assert_kept(before: FirstLife, api_url: str) -> None:
    with api_client(api_url, before.api_key) as http:
        task_id = before.task["task_id"]
        assert http.get(f"/v1/tasks/{task_id}").json() == before.task
        assert http.get(f"/v1/tasks/{task_id}/steps").json() == before.steps
        assert task_id in [task["task_id"] for task in http.get("/v1/tasks").json()["tasks"]]
