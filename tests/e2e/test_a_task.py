"""The main path: submitted, run, stored, announced; seen from outside and from behind."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from cdk.bundling import ROOT
from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS, TTL_MARGIN_SECONDS
from ratchet.contracts.names import Complexity, StepType
from ratchet.contracts.routing import RoutingTable
from ratchet.testing.receiver import WebhookReceiver
from tests.e2e.conftest import SharedStage
from tests.e2e.goals import RESEARCH_STEPS, complex_research, research
from tests.e2e.stage import Stage

STEP_TYPES = [
    *("planning", "tool_dispatch", "tool_dispatch", "reasoning"),
    *("tool_dispatch", "tool_dispatch", "final_synthesis"),
]
# Everything that may travel through Step Functions: ids and counters.
STATE_FIELDS = {
    "tenant",
    "task_id",
    "action",
    "step",
    "execution",
    "wait_seconds",
    "status",
    "tries",
}
STEP_FIELDS = {"number", "type", "complexity", "waits", "waited_seconds"}
GOAL = research("canary-main")


@dataclass(frozen=True)
class Finished:
    """One task that has ended, with what its client saw on the way."""

    stage: Stage
    body: dict[str, Any]
    accepted: httpx.Response
    task: Any
    webhooks: WebhookReceiver

    @property
    def id(self) -> str:
        return str(self.task["task_id"])


@pytest.fixture(scope="module")
def finished(shared_stage: SharedStage) -> Any:
    stage = shared_stage.get()
    with WebhookReceiver.start() as receiver:
        body = {
            "goal": GOAL,
            "user_id": "user-1",
            "metadata": {"ticket": "4711"},
            "webhook": {"url": receiver.url},
        }
        accepted = stage.http.post("/v1/tasks", json=body, headers={"Idempotency-Key": "main-1"})
        task = stage.outcome(accepted.json()["task_id"])
        yield Finished(stage, body, accepted, task, receiver)


def test_a_goal_is_accepted_at_once(finished: Finished) -> None:
    answer = finished.accepted
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/tasks/{finished.id}"
    assert "idempotent-replay" not in answer.headers
    assert answer.json()["status"] == "queued"
    assert answer.json()["progress"] == {"steps": 0, "next_step": "planning"}


def test_its_result_can_be_polled(finished: Finished) -> None:
    task = finished.task
    assert task["status"] == "succeeded"
    assert task["progress"] == {"steps": RESEARCH_STEPS, "next_step": None}
    assert task["result"]["sources"] == ["sizing-a-system", "battery-basics", "maintenance"]
    assert task["error"] is None
    assert (task["goal"], task["user_id"]) == (GOAL, "user-1")
    assert task["metadata"] == {"ticket": "4711"}


def test_its_timeline_shows_every_step_and_adds_up(finished: Finished) -> None:
    steps = finished.stage.steps(finished.id)
    assert [s["number"] for s in steps] == list(range(1, RESEARCH_STEPS + 1))
    assert [s["type"] for s in steps] == STEP_TYPES
    assert {s["attempt"] for s in steps} == {0}
    assert finished.task["cost_usd"] == pytest.approx(sum(s["cost_usd"] for s in steps))
    for name, total in finished.task["usage"].items():
        assert total == sum(s["usage"][name] for s in steps)


def test_it_is_in_the_list_of_its_tenant(finished: Finished) -> None:
    listed = finished.stage.http.get("/v1/tasks", params={"user_id": "user-1"}).json()
    assert [t["task_id"] for t in listed["tasks"]] == [finished.id]
    assert listed["next_cursor"] is None


def test_the_same_key_and_body_give_the_same_task(finished: Finished) -> None:
    again = finished.stage.http.post(
        "/v1/tasks", json=finished.body, headers={"Idempotency-Key": "main-1"}
    )
    assert again.status_code == 202
    assert again.headers["idempotent-replay"] == "true"
    assert again.headers["location"] == finished.accepted.headers["location"]
    assert again.json() == finished.task


def test_the_table_holds_one_item_per_step_without_a_gap(finished: Finished) -> None:
    numbers = range(1, RESEARCH_STEPS + 1)
    assert finished.stage.step_keys(finished.id) == [f"STEP#{n:06d}" for n in numbers]


def test_only_what_has_ended_expires(finished: Finished) -> None:
    finished.stage.announced(finished.id)
    items = finished.stage.items(finished.id)
    head = items["TASK"]
    assert head["status"] == {"S": "succeeded"}
    ended_at = int(head["updated_at"]["N"])
    assert head["due_at"] == {"N": str(ended_at + TERMINAL_RETENTION_SECONDS * 1000)}
    kept_seconds = TERMINAL_RETENTION_SECONDS + TTL_MARGIN_SECONDS  # the sweeper comes first
    assert head["expires_at"] == {"N": str(ended_at // 1000 + kept_seconds)}
    expiring = {sk for sk, item in items.items() if "expires_at" in item}
    assert expiring == {"TASK", f"STEP#{RESEARCH_STEPS:06d}"}


def test_one_execution_ran_it_under_its_name(finished: Finished) -> None:
    execution = finished.stage.execution(finished.id)
    assert execution["status"] == "SUCCEEDED"
    assert finished.stage.executions(finished.id) == [finished.id]


def test_only_ids_travel_through_step_functions(finished: Finished) -> None:
    execution = finished.stage.execution(finished.id)
    events = finished.stage.history(finished.id)
    outputs = [
        event["stateExitedEventDetails"]["output"]
        for event in events
        if event["type"].endswith("StateExited")
    ]
    for text in (execution["input"], execution["output"], *outputs):
        state = json.loads(text)
        assert set(state) <= STATE_FIELDS
        assert set(state["step"]) <= STEP_FIELDS
        version = f"{finished.stage.local.outputs['StateMachineArn']}:1"
        assert state["execution"] == {"generation": 1, "first_step": 1, "version": version}
    assert "canary-main" not in json.dumps([execution, events], default=str)


def test_a_step_costs_two_state_transitions(finished: Finished) -> None:
    finished.stage.execution(finished.id)
    entered = Counter(finished.stage.states(finished.id))
    announcing = {"Route": 1, "Announce": 1}
    routes = Counter(
        {
            "planning simple: o3-mini": 1,
            "tool_dispatch simple: gpt-4o-mini": 4,
            "reasoning simple: gpt-4o-mini": 1,
            "final_synthesis simple: gpt-4o": 1,
        }
    )
    assert entered == routes + Counter({"Route": RESEARCH_STEPS}) + Counter(announcing)


def test_the_topic_says_how_it_ended(finished: Finished) -> None:
    (message,) = finished.stage.announced(finished.id)
    event = json.loads(message["Body"])
    assert event["type"] == "task.succeeded"
    assert event["timestamp"] == finished.task["updated_at"]
    assert event["data"] == {
        "task_id": finished.id,
        "status": "succeeded",
        "agent": "research",
        "user_id": "user-1",
        "metadata": {"ticket": "4711"},
        "result": finished.task["result"],
        "error": None,
        "steps": RESEARCH_STEPS,
        "cost_usd": finished.task["cost_usd"],
    }
    attributes = {k: v["StringValue"] for k, v in message["MessageAttributes"].items()}
    assert attributes == {
        "event_id": finished.webhooks.requests[0].headers["webhook-id"],
        "type": "task.succeeded",
        "status": "succeeded",
        "agent": "research",
        "tenant": "default",
    }


def test_the_webhook_is_signed_and_says_the_same(finished: Finished) -> None:
    (message,) = finished.stage.announced(finished.id)
    (request,) = finished.webhooks.requests
    secret = finished.stage.stack.webhook_secret(finished.webhooks.url)
    verified = Webhook(secret).verify(request.body, dict(request.headers))
    assert verified == json.loads(message["Body"])
    assert request.body == message["Body"].encode()


def test_every_route_is_used_with_the_models_of_the_routing_table(finished: Finished) -> None:
    stage = finished.stage
    difficult = stage.outcome(stage.submit(complex_research("canary-complex")))
    assert difficult["status"] == "succeeded"
    steps = [*stage.steps(finished.id), *stage.steps(difficult["task_id"])]
    table = RoutingTable.load(Path(ROOT, "cdk", "routing.yaml"))
    used = set()
    for step in steps:
        pair = StepType(step["type"]), Complexity(step["complexity"])
        assert step["model"] == table.models_for(*pair)[0]
        assert step["route"] == table.route(*pair).name
        assert step["reason"] == "preferred"
        used.add(pair)
    # A plan rates the task, so it is itself never rated.
    assert used == {(t, c) for t in StepType for c in Complexity} - {
        (StepType.PLANNING, Complexity.COMPLEX)
    }
    asked = [r.model for r in stage.asked("canary-main") + stage.asked("canary-complex")]
    assert asked == [step["model"] for step in steps]
