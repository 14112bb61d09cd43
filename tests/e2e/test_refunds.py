"""An unsafe tool, whatever crashes: called at most once, and never guessed about."""

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
        task = stage.outcome(task_id)
    assert (task["status"], task["error"]["code"]) == ("failed", "effect_outcome_unknown")
    assert "'refund'" in task["error"]["message"]
    assert "check in the system it acts on" in task["error"]["message"]
    assert len(_refunds(stage, task_id)) == 1
