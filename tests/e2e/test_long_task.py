"""A stack of its own: five steps to an execution, a minute of a second, and a model that wants the right key."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from ratchet.local.stack import Timing
from ratchet.testing.model_scenarios import SHIPPED
from ratchet.testing.model_server import ModelServer
from tests.e2e.conftest import SharedStage
from tests.e2e.goals import RESEARCH_STEPS, research
from tests.e2e.stage import Json, Stage
from tests.e2e.waiting import wait_until
from tests.e2e.wire import Call

pytestmark = pytest.mark.usefixtures("no_stage")

PER_EXECUTION = 5
LONG_STEPS = 30  # as many as the agent `research` allows: plan, 27 searches, ready, answer
EXECUTIONS = LONG_STEPS // PER_EXECUTION
CLIENT_TRIES = 3  # of boto3, before our code hears of it
RIGHT_KEY = "the-right-key"
SEARCHES = [
    {"name": "search_documents", "arguments": {"query": "panel tilt", "limit": limit}}
    for limit in (1, 2)
]
SCENARIO = {
    "name": "long",
    "match": {"goal": "long-task"},
    "turns": [
        {"step": "planning", "json": {"plan": ["Search, often"], "complexity": "simple"}},
        *({"step": "act", "tool_calls": [SEARCHES[n % 2]]} for n in range(LONG_STEPS - 3)),
        {"step": "act", "content": "Ready."},
        {"step": "final", "json": {"answer": "Steep [panel-orientation].", "sources": []}},
    ],
}


@dataclass(frozen=True)
class Resumed:
    """A task that failed for want of the right key, and went on once it was there."""

    stage: Stage
    failed: Json
    queued: Json
    ended: Json

    @property
    def id(self) -> str:
        return str(self.failed["task_id"])


@pytest.fixture(scope="module")
def resumed(
    shared_stage: SharedStage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Resumed]:
    shared_stage.close()
    folder = tmp_path_factory.mktemp("long")
    scenarios = shutil.copytree(SHIPPED, folder / "scenarios")
    (scenarios / "a-long.yaml").write_text(yaml.safe_dump(SCENARIO), encoding="utf-8")
    with (
        ModelServer.start(scenarios, api_key=RIGHT_KEY) as models,
        Stage.start(
            folder,
            models,
            model_api_key="a-wrong-key",
            steps_per_execution=PER_EXECUTION,
            timing=Timing(minute_seconds=1),
        ) as stage,
    ):
        task_id = stage.submit(research("resume"))
        failed = stage.outcome(task_id)
        stage.announced(task_id)
        stage.local.client("secretsmanager").put_secret_value(
            SecretId=stage.local.outputs["ModelKeySecretArn"], SecretString=RIGHT_KEY
        )
        answer = stage.http.post(f"/v1/tasks/{task_id}/resume")
        assert answer.status_code == 200, answer.text
        yield Resumed(stage, failed, answer.json(), stage.outcome(task_id))


@pytest.fixture
def stage(resumed: Resumed) -> Stage:
    """The same stack, after the right key was given to it."""
    return resumed.stage


def test_a_failed_task_goes_on_once_its_cause_is_gone(resumed: Resumed) -> None:
    assert (resumed.failed["status"], resumed.failed["error"]["code"]) == (
        "failed",
        "model_rejected",
    )
    assert resumed.queued["status"] in {"queued", "running"}, "the dispatcher may be quicker"
    assert (resumed.queued["error"], resumed.queued["result"]) == (None, None)
    assert (resumed.ended["status"], resumed.ended["error"]) == ("succeeded", None)
    names = resumed.stage.executions(resumed.id)
    assert names == [resumed.id, f"{resumed.id}-g2", f"{resumed.id}-g3"]


def test_it_pays_for_no_step_twice(resumed: Resumed) -> None:
    assert Counter(r.status for r in resumed.stage.asked("resume")) == {200: RESEARCH_STEPS}
    refused = [r for r in resumed.stage.models.requests() if r.status == 401]
    assert len(refused) in {1, 2}, (
        "a warm sandbox meets the old key once more, then reads the new one"
    )
    steps = resumed.stage.steps(resumed.id)
    assert len(steps) == resumed.ended["progress"]["steps"]
    assert resumed.ended["cost_usd"] == pytest.approx(sum(s["cost_usd"] for s in steps))


def test_both_ends_are_announced_each_once(resumed: Resumed) -> None:
    failed, succeeded = (json.loads(m["Body"]) for m in resumed.stage.announced(resumed.id))
    assert (failed["type"], succeeded["type"]) == ("task.failed", "task.succeeded")
    ids = [
        m["MessageAttributes"]["event_id"]["StringValue"]
        for m in resumed.stage.announced(resumed.id)
    ]
    assert len(set(ids)) == 2


def test_what_has_succeeded_cannot_be_resumed(resumed: Resumed) -> None:
    answer = resumed.stage.http.post(f"/v1/tasks/{resumed.id}/resume")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_resumable")
    assert resumed.stage.task(resumed.id) == resumed.ended


def test_a_long_task_crosses_executions_without_a_seam(stage: Stage) -> None:
    task = stage.outcome(task_id := stage.submit("long-task: look often."))
    assert task["status"] == "succeeded", task["error"]
    assert task["progress"] == {"steps": LONG_STEPS, "next_step": None}
    steps = stage.steps(task_id)
    assert [s["number"] for s in steps] == list(range(1, LONG_STEPS + 1))
    assert task["cost_usd"] == pytest.approx(sum(s["cost_usd"] for s in steps))
    for name, total in task["usage"].items():
        assert total == sum(s["usage"][name] for s in steps)
    generations = range(1, EXECUTIONS + 1)
    later = [f"{task_id}-g{n}" for n in generations[1:]]
    assert stage.executions(task_id) == [task_id, *later]
    for n in generations:
        execution = stage.execution(task_id, n)
        assert execution["status"] == "SUCCEEDED"
        began_with = json.loads(execution["input"])["execution"]
        first_step = (n - 1) * PER_EXECUTION + 1
        assert (began_with["generation"], began_with["first_step"]) == (n, first_step)
        last = "Announce" if n == EXECUTIONS else "Roll over"
        assert stage.states(task_id, n)[-1] == last
        assert stage.states(task_id, n).count("Route") == PER_EXECUTION + 1
    assert stage.asked_per_turn("long-task") == Counter(range(LONG_STEPS))
    assert len(stage.announced(task_id)) == 1


def test_a_roll_over_that_nobody_heard_is_noticed_by_the_schedule(stage: Stage) -> None:
    with stage.wire.refuse(_starts_second):
        task_id = stage.submit(research("roll-over-lost"))
        assert stage.execution(task_id)["status"] == "SUCCEEDED"
        wait_until(
            lambda: _refused_starts(stage, task_id) >= CLIENT_TRIES,
            "the failed starts",
        )
    assert stage.executions(task_id) == [task_id]
    assert stage.task(task_id)["status"] == "running"
    stage.make_due(task_id)  # and nothing else: the schedule does the rest
    assert stage.outcome(task_id)["status"] == "succeeded"
    assert stage.executions(task_id) == [task_id, f"{task_id}-g2"]
    assert stage.asked_per_turn("roll-over-lost") == Counter(range(RESEARCH_STEPS))


def _refused_starts(stage: Stage, task_id: str) -> int:
    return sum(call.status == 503 for call in stage.wire.calls(about=f"{task_id}-g2"))


def _starts_second(call: Call) -> bool:
    return call.operation == "StartExecution" and '-g2"' in call.body


def test_a_schedule_runs_its_task_once_for_each_time_until_it_is_deleted(stage: Stage) -> None:
    """Here, because a minute of this stack is a second."""
    task = {"goal": research("scheduled"), "limits": {"max_cost_usd": 0.5}}
    asked = {"schedule_expression": "rate(1 minute)", "name": "each minute", "task": task}
    made = stage.http.post("/v1/schedules", json=asked, headers={"Idempotency-Key": "s"})
    assert (made.status_code, made.json()["status"]) == (201, "active"), made.text
    again = stage.http.post("/v1/schedules", json=asked, headers={"Idempotency-Key": "s"})
    assert again.headers["Idempotent-Replay"] == "true"
    schedule_id = made.json()["schedule_id"]
    path = f"/v1/schedules/{schedule_id}"

    def ran() -> Json:
        found = stage.http.get(path).raise_for_status().json()
        return found if found["last_run"] is not None else None

    run = wait_until(ran, "the first run of the schedule")["last_run"]
    assert run["error"] is None
    for _ in range(2):
        assert stage.http.delete(path).status_code == 204
    assert stage.http.get(path).status_code == 404
    assert stage.local.client("scheduler").list_schedules()["Schedules"] == []
    ended = stage.outcome(run["task_id"])
    assert (ended["status"], ended["schedule_id"]) == ("succeeded", schedule_id)


def test_a_time_that_comes_twice_is_one_task(stage: Stage) -> None:
    asked = {"schedule_expression": "cron(0 0 1 1 ? 2199)", "task": {"goal": research("twice")}}
    schedule = stage.http.post("/v1/schedules", json=asked).raise_for_status().json()
    (kept,) = stage.local.client("scheduler").list_schedules()["Schedules"]
    told = stage.local.client("scheduler").get_schedule(
        Name=kept["Name"], GroupName=kept["GroupName"]
    )
    assert "twice" not in json.dumps(told, default=str), "EventBridge is told no content"
    event = {**json.loads(told["Target"]["Input"]), "scheduled_at": "2199-01-01T00:00:00Z"}
    name = next(n for n in stage.local.function_names() if "Scheduler" in n)
    aws_lambda = stage.local.client("lambda")
    answers = [
        json.loads(
            aws_lambda.invoke(FunctionName=name, Payload=json.dumps(event))["Payload"].read()
        )
        for _ in range(2)
    ]
    shown = stage.http.get(f"/v1/schedules/{schedule['schedule_id']}").json()
    assert answers == [{"task_id": shown["last_run"]["task_id"]}, {"task_id": None}]
    assert shown["runs"] == 1
    assert stage.outcome(shown["last_run"]["task_id"])["status"] == "succeeded"
    assert stage.http.delete(f"/v1/schedules/{schedule['schedule_id']}").status_code == 204
