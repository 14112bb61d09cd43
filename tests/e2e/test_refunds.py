"""An unsafe tool, whatever crashes: called at most once, and never guessed about."""

import json

from tests.e2e.goals import refund
from tests.e2e.stage import Json, Stage
from tests.e2e.wire import Phase, ends_effect


def _refunds(stage: Stage, task_id: str) -> list[Json]:
    return [entry for entry in stage.refunds() if entry["task_id"] == task_id]


def test_a_refund_is_paid_exactly_once(stage: Stage) -> None:
    task_id = stage.submit(refund("refund", "A-1001"), agent="support")
    task = stage.outcome(task_id)
    assert task["status"] == "succeeded"
    assert (task["result"]["order_id"], task["result"]["refunded_usd"]) == ("A-1001", 49.9)
    (entry,) = _refunds(stage, task_id)
    assert (entry["amount_usd"], entry["tenant"]) == (49.9, "default")
    tools = [tool["name"] for step in stage.steps(task_id) for tool in step["tools"]]
    assert tools == ["lookup_order", "refund"]


def test_a_recorded_refund_is_adopted_by_the_attempt_after_a_crash(stage: Stage) -> None:
    with stage.wire.hold(ends_effect, Phase.REPLY) as gate:
        task_id = stage.submit(refund("refund-adopted", "A-1004"), agent="support")
        gate.wait_reached()
        stage.kill("StepExecutor")
    task = stage.outcome(task_id)
    assert task["status"] == "succeeded"
    assert task["result"]["refunded_usd"] == 312.4
    assert len(_refunds(stage, task_id)) == 1


def test_a_refund_that_nobody_knows_the_outcome_of_is_left_to_a_person(stage: Stage) -> None:
    with stage.wire.hold(ends_effect, Phase.REQUEST) as gate:
        task_id = stage.submit(refund("refund-unknown", "A-1007"), agent="support")
        gate.wait_reached()
        stage.kill("StepExecutor")
        (asked,) = stage.asks(task_id)
    assert "'refund'" in asked["question"]
    assert "Check in the system it acts on" in asked["question"]
    assert asked["choices"] == ["happened", "did_not_happen", "abort"]
    listed = stage.http.get("/v1/interrupts").json()["interrupts"]
    assert asked in listed
    assert stage.other_tenant.get("/v1/interrupts").json()["interrupts"] == []
    assert stage.answer(task_id, asked["id"], "perhaps").status_code == 400
    assert stage.answer(task_id, "int_0", "happened").status_code == 404
    assert stage.answer(task_id, asked["id"], "happened").status_code == 200
    assert stage.answer(task_id, asked["id"], "happened").status_code == 200
    assert stage.answer(task_id, asked["id"], "did_not_happen").status_code == 409
    task = stage.outcome(task_id)
    assert task["status"] == "succeeded"
    assert len(_refunds(stage, task_id)) == 1
    types = [json.loads(m["Body"])["type"] for m in stage.announced(task_id)]
    assert sorted(types) == ["interrupt.requested", "task.succeeded"]
