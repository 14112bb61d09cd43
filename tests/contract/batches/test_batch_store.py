"""Batches, on the twin and on DynamoDB as moto plays it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ratchet.adapters.dynamodb_batches import DynamoDbBatches
from ratchet.adapters.payloads import S3Payloads
from ratchet.batch_ports import Batch, BatchStore
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import IDEMPOTENCY_RETENTION_SECONDS, MAX_BATCH_TASKS
from ratchet.contracts.names import TaskStatus
from ratchet.domain.task import Task
from ratchet.ports import CheckpointStore, IdempotencyClaim
from ratchet.testing.batches import InMemoryBatches
from ratchet.testing.clock import FakeClock
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import DynamoDbBench, MemoryBench
from tests.contract.store.samples import DONE, LARGE, START_MS, record_of, task_of
from tests.contract.store.wire import faults

DUE = START_MS + 60_000


@dataclass
class Desk:
    batches: BatchStore
    store: CheckpointStore
    clock: FakeClock


@pytest.fixture
def dynamodb() -> Iterator[tuple[DynamoDbBench, DynamoDbBatches]]:
    with mocked_aws():
        bench = DynamoDbBench()
        payloads = S3Payloads(lambda: bench.s3, bench.bucket)
        yield (
            bench,
            DynamoDbBatches(bench.client, table=bench.table, payloads=payloads, clock=bench.clock),
        )
        bench.close()


@pytest.fixture(params=["twin", "dynamodb"])
def desk(request: pytest.FixtureRequest) -> Desk:
    if request.param == "twin":
        memory = MemoryBench()
        return Desk(InMemoryBatches(memory.store, memory.clock), memory.store, memory.clock)
    bench, batches = request.getfixturevalue("dynamodb")
    return Desk(batches, bench.store, bench.clock)


def batch_of(tasks: list[Task], number: int = 1, tenant: str = "acme") -> Batch:
    ids = tuple(task.ref.task_id for task in tasks)
    return Batch(tenant, f"batch_{number:026d}", START_MS, ids)


def three(first: int = 1) -> list[Task]:
    return [task_of(number) for number in range(first, first + 3)]


def claim(digest: str = "a", expires_at: int = START_MS // 1000 + 1_000) -> IdempotencyClaim:
    return IdempotencyClaim("batch\nk", digest, expires_at)


def put(desk: Desk, tasks: list[Task], number: int = 1, **fields: Any) -> Any:
    options = {"claim": None, "due_at_ms": DUE, **fields}
    return desk.batches.create_batch(batch_of(tasks, number), tasks, **options)


def test_a_batch_is_there_with_its_tasks_which_are_queued_and_due(desk: Desk) -> None:
    tasks = three()
    assert put(desk, tasks).batch == batch_of(tasks)
    assert desk.batches.batch("acme", batch_of(tasks).batch_id) == batch_of(tasks)
    for task in tasks:
        tip = desk.store.load_tip(task.ref)
        assert tip is not None
        assert (tip.task, tip.state.status) == (task, TaskStatus.QUEUED)
    members = desk.batches.members(batch_of(tasks))
    assert [m.task.task_id for m in members] == [t.ref.task_id for t in tasks]


def test_the_largest_batch_is_one_write(desk: Desk) -> None:
    tasks = [task_of(number) for number in range(1, MAX_BATCH_TASKS + 1)]
    put(desk, tasks, claim=claim())
    assert len(desk.batches.members(batch_of(tasks))) == MAX_BATCH_TASKS


def test_a_task_too_large_for_its_item_is_kept_all_the_same(desk: Desk) -> None:
    tasks = [replace(task_of(1), goal=LARGE), task_of(2)]
    put(desk, tasks)
    tip = desk.store.load_tip(tasks[0].ref)
    assert tip is not None
    assert tip.task.goal == LARGE


def test_what_ended_tasks_have_cost_is_told(desk: Desk) -> None:
    tasks = three()
    put(desk, tasks)
    done = record_of(1, DONE)
    desk.store.commit(tasks[1], done, due_at_ms=DUE)
    members = desk.batches.members(batch_of(tasks))
    assert [m.cost_microusd for m in members] == [0, done.totals.cost_microusd, 0]
    assert members[1].task.status is TaskStatus.SUCCEEDED


def test_a_key_makes_one_batch(desk: Desk) -> None:
    put(desk, three(), claim=claim())
    again = put(desk, three(first=4), number=2, claim=claim("b"))
    assert (again.is_replay, again.body_sha256) == (True, "a")
    assert again.batch == batch_of(three())
    assert desk.store.load_tip(task_of(4).ref) is None
    assert desk.batches.batch("acme", batch_of([], 2).batch_id) is None


def test_a_key_is_free_again_when_its_time_is_over(desk: Desk) -> None:
    put(desk, three(), claim=claim(expires_at=desk.clock.now_ms() // 1000 + 10))
    desk.clock.advance(IDEMPOTENCY_RETENTION_SECONDS)
    assert not put(desk, three(first=4), number=2, claim=claim()).is_replay


def test_a_batch_of_another_tenant_is_not_there(desk: Desk) -> None:
    put(desk, three())
    assert desk.batches.batch("acme2", batch_of([]).batch_id) is None


def test_a_request_that_never_arrived_has_written_nothing(
    dynamodb: tuple[DynamoDbBench, DynamoDbBatches],
) -> None:
    bench, batches = dynamodb
    tasks = three()
    with (
        faults(bench.client, "TransactWriteItems", times=3, applied=False),
        pytest.raises(StoreUnavailable),
    ):
        batches.create_batch(batch_of(tasks), tasks, claim=claim(), due_at_ms=DUE)
    assert bench.items() == []


def test_a_request_whose_answer_was_lost_is_found_by_its_key_whole_and_once(
    dynamodb: tuple[DynamoDbBench, DynamoDbBatches],
) -> None:
    bench, batches = dynamodb
    tasks = three()
    with (
        faults(bench.client, "TransactWriteItems", times=3, applied=True),
        pytest.raises(StoreUnavailable),
    ):
        batches.create_batch(batch_of(tasks), tasks, claim=claim(), due_at_ms=DUE)
    others = three(first=4)
    again = batches.create_batch(batch_of(others, 2), others, claim=claim(), due_at_ms=DUE)
    assert (again.is_replay, again.batch) == (True, batch_of(tasks))
    assert len(bench.due()) == 3


def test_one_task_that_is_there_already_keeps_the_whole_batch_out(
    dynamodb: tuple[DynamoDbBench, DynamoDbBatches],
) -> None:
    bench, batches = dynamodb
    tasks = three()
    bench.store.create_task(tasks[2], claim=None, due_at_ms=DUE)
    before = bench.items()
    with pytest.raises(StoreUnavailable):
        batches.create_batch(batch_of(tasks), tasks, claim=None, due_at_ms=DUE)
    assert bench.items() == before
