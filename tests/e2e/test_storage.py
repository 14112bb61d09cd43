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
    step_executor = [c for c in calls if '"STEP#' in c.body and '"ScanIndexForward"' not in c.body]
    assert Counter(call.operation for call in step_executor) == {
        "Query": 1,
        "PutItem": RESEARCH_STEPS - 1,
        "TransactWriteItems": 1,  # the last step and the head
    }
    others = [call for call in calls if call not in step_executor]
    assert Counter(call.operation for call in others) == {
        "PutItem": 1,  # api: the head
        "Query": 3,  # dispatcher: the tip; deliverer: the tip, and what has arrived
        "UpdateItem": 3,  # dispatcher: started; deliverer: one channel, when to erase
    }
