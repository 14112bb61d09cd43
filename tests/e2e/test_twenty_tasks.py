"""Many tasks at once, in few sandboxes."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.goals import RESEARCH_STEPS, research
from tests.e2e.stage import Stage

TASKS = 20


def test_twenty_tasks_at_once_all_succeed_and_each_step_is_recorded_once(stage: Stage) -> None:
    words = [f"crowd-{number:02d}" for number in range(TASKS)]
    with ThreadPoolExecutor(TASKS) as pool:
        ids = list(pool.map(lambda word: stage.submit(research(word)), words))
    assert len(set(ids)) == TASKS
    assert {stage.outcome(task_id)["status"] for task_id in ids} == {"succeeded"}
    for word, task_id in zip(words, ids, strict=True):
        assert [s["number"] for s in stage.steps(task_id)] == list(range(1, RESEARCH_STEPS + 1))
        assert stage.asked_per_turn(word) == Counter(range(RESEARCH_STEPS))
        assert stage.execution(task_id)["status"] == "SUCCEEDED"
        assert len(stage.announced(task_id)) == 1
