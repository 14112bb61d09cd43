"""The in-memory store under threads; its answers are proved in tests/contract/store."""

from concurrent.futures import ThreadPoolExecutor

from ratchet.ports import CheckpointStore, IdempotencyClaim
from ratchet.testing.clock import FakeClock
from ratchet.testing.store import InMemoryCheckpoints
from tests.contract.store.samples import DONE, START_MS, record_of, task_of


def test_racing_commits_of_a_step_all_answer_with_the_one_that_stands() -> None:
    store: CheckpointStore = InMemoryCheckpoints(FakeClock())
    task = task_of()
    store.create_task(task, claim=None, due_at_ms=START_MS)
    attempts = [record_of(1, DONE, attempt=number) for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda r: store.commit(task, r, due_at_ms=START_MS), attempts))
    history = store.load(task.ref)
    assert history is not None
    assert answers == list(history.records) * 64


def test_racing_requests_with_one_key_create_one_task() -> None:
    store: CheckpointStore = InMemoryCheckpoints(FakeClock())
    claim = IdempotencyClaim("k", "a" * 64, START_MS // 1000 + 60)
    tasks = [task_of(number) for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda t: store.create_task(t, claim=claim, due_at_ms=START_MS), tasks)
        )
    assert len({answer.task.ref for answer in answers}) == 1
    assert sum(not answer.is_replay for answer in answers) == 1
