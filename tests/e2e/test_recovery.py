"""What brings a task back when nothing else would: the sweeper, on its schedule and on EventBridge's word."""

import base64
import json
import random
import re
from collections import Counter
from functools import partial

from ratchet.contracts.limits import DELIVERY_JITTER_PERCENT
from ratchet.testing.receiver import Answer, WebhookReceiver
from tests.e2e.goals import RESEARCH_STEPS, research
from tests.e2e.stage import Stage
from tests.e2e.waiting import wait_until
from tests.e2e.wire import Phase, puts_step, rings

ONCE = Counter(range(RESEARCH_STEPS))


def test_a_doorbell_that_never_rang_is_rung_by_the_sweeper(stage: Stage) -> None:
    word = "sweep-doorbell"
    with stage.wire.refuse(rings):
        task_id = stage.submit(research(word))  # accepted: the task is written, and due
    refused = [
        call for call in stage.wire.calls("SendMessage", about=task_id) if call.status == 503
    ]
    assert refused
    assert stage.task(task_id)["status"] == "queued"
    assert stage.executions(task_id) == []
    assert stage.sweep()["failed"] == 0
    assert stage.executions(task_id) == [], "it is not due yet"
    stage.make_due(task_id)
    assert stage.sweep()["tasks"] == 1
    assert stage.outcome(task_id)["status"] == "succeeded"
    assert stage.asked_per_turn(word) == ONCE
    assert stage.executions(task_id) == [task_id]
    assert len(stage.announced(task_id)) == 1


def test_a_doorbell_that_rings_twice_starts_one_execution(stage: Stage) -> None:
    word = "sweep-twice"
    with stage.wire.hold(puts_step(1), Phase.REQUEST):
        task_id = stage.submit(research(word))
        wait_until(lambda: stage.task(task_id)["status"] == "running", "the note of the start")
        stage.make_due(task_id)
        swept = stage.sweep()
        assert (swept["tasks"], swept["failed"]) == (1, 0)
        assert stage.sweep()["tasks"] == 0, "it runs: looked at, and left alone for five minutes"
    assert stage.outcome(task_id)["status"] == "succeeded"
    assert stage.executions(task_id) == [task_id]
    assert stage.asked_per_turn(word) == ONCE


def test_a_stopped_execution_is_followed_by_the_next_at_once(stage: Stage) -> None:
    word = "sweep-stopped"
    with stage.wire.hold(puts_step(3), Phase.REQUEST, only_first=True) as gate:
        task_id = stage.submit(research(word))
        gate.wait_reached()
        before = {sk: stage.items(task_id)[sk] for sk in ("STEP#000001", "STEP#000002")}
        stage.stop(task_id)
        assert stage.outcome(task_id)["status"] == "succeeded"
        third = stage.items(task_id)["STEP#000003"]
    assert stage.execution(task_id)["status"] == "ABORTED"
    second = stage.execution(task_id, 2)
    assert (second["name"], second["status"]) == (f"{task_id}-g2", "SUCCEEDED")
    began_with = json.loads(second["input"])["execution"]
    assert (began_with["generation"], began_with["first_step"]) == (2, 3)
    assert stage.executions(task_id) == [task_id, f"{task_id}-g2"]
    # The first execution's third step was under way: it asked the model, and its commit comes too late.
    assert stage.asked_per_turn(word) == ONCE + Counter([2])
    late = puts_step(3)
    commits = wait_until(
        lambda: (
            found
            if len(
                found := [c.status for c in stage.wire.calls("PutItem", about=task_id) if late(c)]
            )
            > 1
            else None
        ),
        "the late commit",
    )
    assert commits == [200, 400]
    items = stage.items(task_id)
    assert {sk: items[sk] for sk in (*before, "STEP#000003")} == {**before, "STEP#000003": third}
    assert len(stage.step_keys(task_id)) == RESEARCH_STEPS
    assert len(stage.announced(task_id)) == 1


def test_an_execution_stopped_while_it_waits_is_followed_too(stage: Stage) -> None:
    word = "sweep-waiting"
    stage.inject(status=429, retry_after=300, goal=re.compile(word), turn=2)
    task_id = stage.submit(research(word))
    wait_until(lambda: stage.asked_per_turn(word)[2], "the rate limit")
    wait_until(lambda: "Wait" in stage.states(task_id), "the wait")
    stage.stop(task_id)
    assert stage.outcome(task_id)["status"] == "succeeded"
    assert stage.asked_per_turn(word) == ONCE + Counter([2])
    assert stage.executions(task_id) == [task_id, f"{task_id}-g2"]


def test_a_task_whose_executions_die_without_progress_fails_with_the_cause(stage: Stage) -> None:
    word = "sweep-hopeless"
    stage.inject(status=429, retry_after=300, goal=re.compile(word), step="planning", times=9)
    task_id = stage.submit(research(word))
    for generation in range(1, 7):
        wait_until(partial(_waits, stage, task_id, generation), f"execution {generation}")
        stage.stop(task_id, generation)
    task = stage.outcome(task_id)
    assert (task["status"], task["error"]["code"]) == ("failed", "execution_failed")
    assert "stopped by a test" in task["error"]["message"]
    assert len(stage.executions(task_id)) == 6
    assert len(stage.announced(task_id)) == 1


def test_a_webhook_that_fails_is_tried_again_on_its_schedule(
    stage: Stage, receiver: WebhookReceiver
) -> None:
    receiver.answer_with(Answer(status=500), Answer(status=302, headers={"location": receiver.url}))
    task_id = stage.submit(research("webhook-down"), webhook={"url": receiver.url})
    assert stage.outcome(task_id)["status"] == "succeeded"
    for count, pause_seconds in ((1, 5), (2, 300)):
        receiver.wait_for(count, timeout=60)
        wait_until(
            partial(_is_tried_next_in, pause_seconds, stage, task_id, count),
            f"a next try in {pause_seconds} s",
        )
        stage.sweep()
        assert len(receiver.requests) == count, "it is not due yet"
        stage.pass_time(task_id, int(pause_seconds * 1.1) + 2)
        stage.sweep()
    receiver.wait_for(3, timeout=60)
    assert len(stage.announced(task_id)) == 1
    assert len({(r.headers["webhook-id"], r.body) for r in receiver.requests}) == 1
    for request in receiver.requests:
        request.verify(stage.stack.webhook_secret(receiver.url))
    assert _deliveries(stage, task_id) == {"sns": [True], "webhook": [False, False, True]}


def test_a_finished_task_is_erased_when_its_retention_is_over(stage: Stage) -> None:
    letters = base64.b64encode(random.Random(1).randbytes(40_000)).decode()
    task_id = stage.submit(f"{research('erased')} {letters}")
    kept = stage.outcome(stage.submit(research("kept")))
    assert stage.outcome(task_id)["status"] == "succeeded"
    stage.announced(task_id)
    assert stage.objects(task_id), "its goal is too large for an item"
    stage.pass_retention(task_id)
    assert stage.http.get(f"/v1/tasks/{task_id}").status_code == 404, "before the sweeper comes"
    stage.sweep()
    assert stage.items(task_id) == {}
    assert stage.objects(task_id) == []
    for path in ("", "/steps"):
        assert stage.http.get(f"/v1/tasks/{task_id}{path}").status_code == 404
    listed = stage.http.get("/v1/tasks", params={"limit": 100}).json()["tasks"]
    assert task_id not in [task["task_id"] for task in listed]
    assert stage.task(kept["task_id"]) == kept


def _waits(stage: Stage, task_id: str, generation: int) -> bool:
    names = stage.executions(task_id)
    return len(names) == generation and "Wait" in stage.states(task_id, generation)


def _is_tried_next_in(seconds: int, stage: Stage, task_id: str, tries: int) -> bool:
    """Whether the webhook is due again so long after its last try, the how manieth that is."""
    items = stage.items(task_id)
    due_at = int(items["TASK"]["due_at"]["N"])
    for sk, log in items.items():
        if sk.startswith("DELIVERY#") and log["channel"]["S"] == "webhook":
            tried_at = int(log["attempts"]["L"][-1]["M"]["at"]["N"])
            longest = seconds * (100 + DELIVERY_JITTER_PERCENT) * 10 + 2000
            in_time = seconds * 1000 <= due_at - tried_at < longest
            return in_time and log["tries"] == {"N": str(tries)}
    return False


def _deliveries(stage: Stage, task_id: str) -> dict[str, list[bool]]:
    return {
        item["channel"]["S"]: [a["M"]["ok"]["BOOL"] for a in item["attempts"]["L"]]
        for sk, item in stage.items(task_id).items()
        if sk.startswith("DELIVERY#")
    }


def test_a_dead_letter_is_tried_once_more(stage: Stage) -> None:
    """The queue gave up on the message: its letters have a consumer, which starts the task after all."""
    with stage.wire.refuse(rings):
        task_id = stage.submit(research("dead-letter"))
    inbox = stage.local.outputs["QueueUrl"]
    names = ["RedrivePolicy"]
    policy = stage.sqs.get_queue_attributes(QueueUrl=inbox, AttributeNames=names)["Attributes"]
    letters = json.loads(policy["RedrivePolicy"])["deadLetterTargetArn"].rpartition(":")[2]
    url = stage.sqs.get_queue_url(QueueName=letters)["QueueUrl"]
    bell = {"tenant": "default", "task_id": task_id}
    for body in (json.dumps(bell), "not a message of ours"):
        stage.sqs.send_message(QueueUrl=url, MessageBody=body)
    assert stage.outcome(task_id)["status"] == "succeeded"
    assert stage.executions(task_id) == [task_id]

    def is_empty() -> bool:
        counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = stage.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"]
        return all(told[name] == "0" for name in counts)

    wait_until(is_empty, "the end of the dead letters")
