"""Cancel races the steps: there is one outcome, and it is announced once."""

import re

from ratchet.testing.model_faults import FaultKind
from ratchet.testing.receiver import WebhookReceiver
from tests.e2e.goals import research
from tests.e2e.stage import Json, Stage
from tests.e2e.waiting import wait_until
from tests.e2e.wire import Phase, puts_step


def _cancel(stage: Stage, task_id: str) -> Json:
    answer = stage.http.post(f"/v1/tasks/{task_id}/cancel")
    assert answer.status_code == 200, answer.text
    return answer.json()


def _commits(stage: Stage, task_id: str) -> list[int]:
    matches = puts_step(3)
    return [call.status for call in stage.wire.calls("PutItem", about=task_id) if matches(call)]


def test_a_task_is_cancelled_while_its_model_call_is_held(
    stage: Stage, receiver: WebhookReceiver
) -> None:
    word = "cancel-model"
    stage.inject(kind=FaultKind.TIMEOUT, goal=re.compile(word), turn=1)
    task_id = stage.submit(research(word), webhook={"url": receiver.url})
    wait_until(lambda: stage.models.held, "the held model call")
    wait_until(lambda: stage.task(task_id)["status"] == "running", "the note of the start")
    cancelled = _cancel(stage, task_id)
    assert (cancelled["status"], cancelled["error"]["code"]) == ("cancelled", "cancelled")
    assert cancelled["progress"] == {"steps": 1, "next_step": None}
    assert stage.execution(task_id)["status"] == "ABORTED"
    (message,) = stage.announced(task_id)
    assert message["MessageAttributes"]["type"]["StringValue"] == "task.cancelled"
    assert _cancel(stage, task_id) == cancelled, "again: the same answer"
    assert stage.announced(task_id) == [message]
    assert len(receiver.requests) == 1
    wait_until(lambda: stage.models.held == 0, "the end of the held model call")


def test_a_commit_after_the_cancel_is_refused(stage: Stage) -> None:
    with stage.wire.hold(puts_step(3), Phase.REQUEST) as gate:
        task_id = stage.submit(research("cancel-commit"))
        gate.wait_reached()
        wait_until(lambda: stage.task(task_id)["status"] == "running", "the note of the start")
        cancelled = _cancel(stage, task_id)
        assert not _commits(stage, task_id)
    wait_until(lambda: _commits(stage, task_id), "the late commit")
    assert set(_commits(stage, task_id)) == {400}
    assert stage.task(task_id) == cancelled
    assert len(stage.step_keys(task_id)) == 3, "the cancel is the third step"
    assert stage.execution(task_id)["status"] == "ABORTED"
    assert len(stage.announced(task_id)) == 1


def test_a_task_that_has_ended_cannot_be_cancelled(stage: Stage) -> None:
    task = stage.outcome(stage.submit(research("cancel-late")))
    answer = stage.http.post(f"/v1/tasks/{task['task_id']}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "already_finished")
    assert "read its result instead" in answer.json()["detail"]
    assert stage.task(task["task_id"]) == task
