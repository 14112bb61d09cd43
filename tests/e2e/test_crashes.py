"""kill -9 at the worst moments. The task ends as it should, and nothing is done or recorded twice."""

import re
from collections import Counter

import pytest

from ratchet.testing.model_faults import FaultKind
from ratchet.testing.receiver import Answer, WebhookReceiver
from tests.e2e.goals import RESEARCH_STEPS, research
from tests.e2e.stage import Stage
from tests.e2e.waiting import wait_until
from tests.e2e.wire import Call, Matcher, Phase, ends_task, puts_step, starts_execution

ONCE = Counter(range(RESEARCH_STEPS))


def _assert_whole(stage: Stage, task_id: str) -> None:
    """The task is as if nothing had happened: each step recorded once, one announcement."""
    assert stage.outcome(task_id)["status"] == "succeeded"
    assert len(stage.step_keys(task_id)) == RESEARCH_STEPS
    assert stage.execution(task_id)["status"] == "SUCCEEDED"
    assert len(stage.announced(task_id)) == 1


def test_a_step_killed_during_its_model_call_runs_again_and_no_other_does(stage: Stage) -> None:
    word, killed = "crash-model", 3
    stage.inject(kind=FaultKind.TIMEOUT, goal=re.compile(word), turn=killed - 1)
    task_id = stage.submit(research(word))
    wait_until(lambda: stage.asked_per_turn(word)[killed - 1], "the held model call")
    assert not [i for i in stage.items(task_id).values() if "expires_at" in i], "it is alive"
    stage.kill("StepExecutor")
    _assert_whole(stage, task_id)
    assert stage.asked_per_turn(word) == ONCE + Counter([killed - 1])
    attempts = {s["number"]: s["attempt"] for s in stage.steps(task_id)}
    assert attempts == {**dict.fromkeys(range(1, RESEARCH_STEPS + 1), 0), killed: 1}


@pytest.mark.parametrize(
    ("word", "commit"),
    [
        pytest.param("crash-commit", puts_step(4), id="a step"),
        pytest.param("crash-last-commit", ends_task, id="the last step"),
    ],
)
def test_a_step_killed_after_its_commit_is_not_run_again(
    stage: Stage, word: str, commit: Matcher
) -> None:
    with stage.wire.hold(commit, Phase.REPLY) as gate:
        task_id = stage.submit(research(word))
        gate.wait_reached()
        stage.kill("StepExecutor")
    _assert_whole(stage, task_id)
    assert stage.asked_per_turn(word) == ONCE


def test_a_commit_that_comes_after_another_attempts_is_refused(stage: Stage) -> None:
    word = "crash-late"
    with stage.wire.hold(puts_step(2), Phase.REQUEST, only_first=True) as gate:
        task_id = stage.submit(research(word))
        gate.wait_reached()
        stage.kill("StepExecutor")
        _assert_whole(stage, task_id)
        before = stage.items(task_id)["STEP#000002"]
    commits = wait_until(
        lambda: calls if len(calls := _commits(stage, task_id, 2)) == 2 else None, "the late commit"
    )
    assert commits == [200, 400]
    assert stage.items(task_id)["STEP#000002"] == before
    assert stage.asked_per_turn(word) == ONCE + Counter([1])


def test_a_dispatcher_killed_after_it_started_the_execution_starts_no_second_one(
    stage: Stage,
) -> None:
    word = "crash-dispatcher"
    with (
        stage.visibility("QueueUrl", 2),
        stage.wire.hold(puts_step(1), Phase.REQUEST) as first_step,
        stage.wire.hold(starts_execution, Phase.REPLY, only_first=True) as started,
    ):
        task_id = stage.submit(research(word))
        started.wait_reached()
        stage.kill("Dispatcher")
        starts = wait_until(
            lambda: calls if len(calls := _starts(stage, task_id)) > 1 else None, "a second start"
        )
        wait_until(lambda: stage.task(task_id)["status"] == "running", "the note of the start")
        first_step.open()
        _assert_whole(stage, task_id)
    assert {call.status for call in starts} == {200}, "the same name and input: the same execution"
    assert stage.asked_per_turn(word) == ONCE


def test_a_deliverer_killed_at_a_hanging_receiver_delivers_the_same_again(
    stage: Stage, receiver: WebhookReceiver
) -> None:
    receiver.answer_with(Answer(hangs=True))
    with stage.visibility("OutboxQueueUrl", 2):
        task_id = stage.submit(research("crash-deliverer"), webhook={"url": receiver.url})
        receiver.wait_for(1, timeout=60)
        stage.kill("Deliverer")
        first, second, *_ = receiver.wait_for(2, timeout=60)
        _assert_whole(stage, task_id)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    for request in (first, second):
        request.verify(stage.stack.webhook_secret(receiver.url))


def _commits(stage: Stage, task_id: str, number: int) -> list[int]:
    matches = puts_step(number)
    return [call.status for call in stage.wire.calls("PutItem", about=task_id) if matches(call)]


def _starts(stage: Stage, task_id: str) -> list[Call]:
    return stage.wire.calls("StartExecution", about=task_id)
