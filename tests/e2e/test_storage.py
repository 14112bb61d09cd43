"""What a task costs the table, counted on the wire: a step is one write, and no read in a warm sandbox."""

from collections import Counter

from tests.e2e.goals import RESEARCH_STEPS, research
from tests.e2e.stage import Stage


def test_a_warm_task_costs_one_write_a_step_and_one_read_in_all(stage: Stage) -> None:
    stage.outcome(stage.submit(research("storage-before")))
    stage.kill(
        "StepExecutor"
    )  # earlier tests may have left several: a history is warm in one of them
    stage.outcome(stage.submit(research("storage-warm-up")))
    task_id = stage.submit(research("storage"))
    stage.execution(task_id)  # seen from behind: polling the API would read the table too
    stage.announced(task_id)
    elsewhere = {"StartExecution", "SendMessage"}
    calls = [c for c in stage.wire.calls(about=task_id) if c.operation not in elsewhere]
    assert {call.status for call in calls} == {200}
    end = next(n for n, call in enumerate(calls) if call.operation == "TransactWriteItems")
    assert Counter(call.operation for call in calls[: end + 1]) == {
        "PutItem": 1 + RESEARCH_STEPS - 1,  # api: the head; the steps but the last
        "Query": 2,  # dispatcher: the tip; step_executor: the history, once
        "UpdateItem": 1,  # dispatcher: started
        "TransactWriteItems": 1,  # the last step and the head
    }
    assert Counter(call.operation for call in calls[end + 1 :]) == {
        "Query": 3,  # the tip, what has arrived, and the steps to be counted
        "UpdateItem": 2,  # one channel, when to erase
        "GetItem": 1,  # what the usage ledger has of the task
        "TransactWriteItems": 1,  # the usage ledger
    }
