"""What a task costs in requests, bytes and DynamoDB units, on PERF.md's standard agent."""

import json
import zlib
from dataclasses import dataclass, replace

from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS
from ratchet.contracts.names import TaskStatus
from ratchet.delivery_log import DeliveryAttempt
from ratchet.domain import keys
from ratchet.domain.steps import StepRecord
from ratchet.domain.task import Task
from ratchet.ports import DueTask, Start
from tests.contract.store.benches import DynamoDbBench
from tests.contract.store.samples import (
    DONE,
    intent_of,
    plan_of,
    record_of,
    ref_of,
    reopening_of,
    task_of,
)
from tests.contract.store.standard_agent import START_MS, Prose, standard_steps, standard_task
from tests.contract.store.wire import Traffic, item_bytes, watched, write_units
from tests.figures import Tell

MARK = {5: 7, 25: 27, 100: 105}
"""Write units of the best of PERF.md's probes at 5, 25 and 100 cycles."""


@dataclass(frozen=True)
class Cost:
    """What one task took."""

    traffic: Traffic
    step_units: int
    step_bytes: int
    life_units: int
    index_units: int
    cold_read_units: int

    @property
    def table_units(self) -> int:
        return self.step_units + self.life_units


def run(bench: DynamoDbBench, cycles: int, *, cold: bool) -> Cost:
    """One task of so many cycles, from its submission to its announcement."""
    prose = Prose()
    task = standard_task(prose)
    read_units = 0
    with watched(bench.client) as traffic:
        bench.store.create_task(task, claim=None, due_at_ms=START_MS)
        bench.store.mark_started(task.ref, Start(1, START_MS, START_MS, START_MS))
        for record in standard_steps(cycles, prose):
            if cold:
                read_units += -(-sum(map(item_bytes, bench.items())) // 4096)
                assert bench.store.load(task.ref) is not None
            bench.store.commit(task, record, due_at_ms=START_MS)
        bench.store.due_again(task.ref, ended_at_ms=record.finished_at_ms, at_ms=START_MS)
    counted = [r for r in traffic.requests if r[0] != "Scan"]
    sizes = [item_bytes(item) for item in bench.items()]
    *steps, head = sizes
    return Cost(
        traffic=Traffic(counted),
        # The last step and the head are written in a transaction, which costs twice.
        step_units=sum(map(write_units, steps)) + write_units(steps[-1]),
        step_bytes=sum(steps),
        life_units=(1 + 1 + 2 + 1) * write_units(head),
        # by_tenant: put, started, ended. due: put; started, ended and announced move the entry: out, and in again.
        index_units=3 + 1 + 3 * 2,
        cold_read_units=read_units,
    )


def test_a_warm_step_is_one_write_and_no_read(dynamodb: DynamoDbBench) -> None:
    task, steps = started(dynamodb)
    with watched(dynamodb.client) as traffic:
        dynamodb.store.commit(task, steps[0], due_at_ms=START_MS)
    assert (traffic.writes, traffic.reads) == (1, 0)


def test_a_cold_step_is_one_read_and_one_write(dynamodb: DynamoDbBench) -> None:
    task, steps = started(dynamodb)
    for record in steps[:-1]:
        dynamodb.store.commit(task, record, due_at_ms=START_MS)
    with watched(dynamodb.client) as traffic:
        history = dynamodb.store.load(task.ref)
        dynamodb.store.commit(task, steps[-1], due_at_ms=START_MS)
    assert history is not None
    assert len(history.records) == len(steps) - 1
    assert (traffic.writes, traffic.reads) == (1, 1)


def test_a_status_answer_is_one_read_of_two_items(dynamodb: DynamoDbBench) -> None:
    task, steps = started(dynamodb)
    for record in steps:
        dynamodb.store.commit(task, record, due_at_ms=START_MS)
    with watched(dynamodb.client) as traffic:
        dynamodb.store.load_tip(task.ref)
    ((name, body),) = traffic.requests
    assert (name, body["Limit"]) == ("Query", 2)


def test_losing_a_race_costs_no_read(dynamodb: DynamoDbBench) -> None:
    task, steps = started(dynamodb)
    for record in (steps[0], steps[-1]):
        dynamodb.store.commit(task, record, due_at_ms=START_MS)
        with watched(dynamodb.client) as traffic:
            dynamodb.store.commit(task, record, due_at_ms=START_MS)
        assert (traffic.writes, traffic.reads) == (1, 0)


def test_an_unsafe_call_adds_an_intent_and_a_result(dynamodb: DynamoDbBench) -> None:
    task, _ = started(dynamodb)
    with watched(dynamodb.client) as traffic:
        intent = dynamodb.store.begin_effect(
            task.ref, plan_of(), step=1, key="k", intent=intent_of()
        )
        dynamodb.store.end_effect(task.ref, step=1, key="k", intent=intent)
    assert (traffic.writes, traffic.reads) == (2, 0)


def test_starting_postponing_and_announcing_are_one_write_each(dynamodb: DynamoDbBench) -> None:
    task, steps = started(dynamodb)
    due = DueTask(task.ref, TaskStatus.QUEUED, START_MS)
    for write in (
        lambda: dynamodb.store.postpone(due, until_ms=START_MS),
        lambda: dynamodb.store.mark_started(task.ref, Start(1, START_MS, START_MS, START_MS)),
        lambda: dynamodb.store.commit(task, steps[-1], due_at_ms=START_MS),
        lambda: dynamodb.store.due_again(task.ref, ended_at_ms=START_MS, at_ms=START_MS),
    ):
        with watched(dynamodb.client) as traffic:
            write()
        assert (traffic.writes, traffic.reads) == (1, 0)


def test_what_is_due_in_a_shard_is_one_read_however_much_waits(dynamodb: DynamoDbBench) -> None:
    for number in range(1, 90):
        dynamodb.store.create_task(task_of(number), claim=None, due_at_ms=START_MS)
    with watched(dynamodb.client) as traffic:
        found = dynamodb.store.due_tasks("DUE#1", now_ms=START_MS, limit=3)
    assert (len(found), traffic.writes, traffic.reads) == (3, 0, 1)


def test_the_state_of_all_deliveries_is_one_read(dynamodb: DynamoDbBench) -> None:
    for channel in ("sns", "webhook"):
        attempt = DeliveryAttempt("evt_1", channel, True, START_MS, "200")
        dynamodb.store.record_delivery(ref_of(), attempt)
    with watched(dynamodb.client) as traffic:
        assert len(dynamodb.store.deliveries(ref_of(), "evt_1")) == 2
    assert (traffic.writes, traffic.reads) == (0, 1)


def test_reopening_is_one_transaction(dynamodb: DynamoDbBench) -> None:
    task, steps = started(dynamodb)
    dynamodb.store.commit(task, replace(steps[-1], number=1), due_at_ms=START_MS)
    tip = dynamodb.store.load_tip(task.ref)
    assert tip is not None
    with watched(dynamodb.client) as traffic:
        assert dynamodb.store.reopen(tip, reopening_of(tip))
    ((name, body),) = traffic.requests
    assert (name, len(body["TransactItems"])) == ("TransactWriteItems", 3)


def test_erasing_is_a_write_for_every_25_items_and_three_requests(dynamodb: DynamoDbBench) -> None:
    dynamodb.store.create_task(task_of(), claim=None, due_at_ms=START_MS)
    for number in range(1, 60):
        dynamodb.store.commit(task_of(), record_of(number), due_at_ms=START_MS)
    dynamodb.store.commit(task_of(), record_of(60, DONE), due_at_ms=START_MS)
    dynamodb.clock.advance(TERMINAL_RETENTION_SECONDS + 600)
    with watched(dynamodb.client) as traffic:
        assert dynamodb.store.erase(ref_of()) == 61
    names = [name for name, _ in traffic.requests]
    # The head is found and fenced, the keys are read, the head goes last.
    assert names == ["GetItem", "UpdateItem", "Query", *["BatchWriteItem"] * 4]
    (_, last) = traffic.requests[-1]
    assert last["RequestItems"] == {dynamodb.table: [{"DeleteRequest": {"Key": head_key()}}]}
    query = next(body for name, body in traffic.requests if name == "Query")
    assert query["ProjectionExpression"] == "pk, sk"


def test_a_task_that_is_not_to_be_erased_costs_one_read(dynamodb: DynamoDbBench) -> None:
    dynamodb.store.create_task(task_of(), claim=None, due_at_ms=START_MS)
    with watched(dynamodb.client) as traffic:
        assert dynamodb.store.erase(ref_of()) == 0
    assert (traffic.writes, traffic.reads) == (0, 1)


def head_key() -> dict[str, dict[str, str]]:
    return {"pk": {"S": keys.task_key(ref_of())}, "sk": {"S": keys.HEAD}}


def test_costs_grow_linearly_and_stay_near_the_mark(dynamodb: DynamoDbBench, tell: Tell) -> None:
    costs = {}
    for cycles in MARK:
        bench = DynamoDbBench()
        cost = costs[cycles] = run(bench, cycles, cold=cycles <= 25)
        bench.close()
        # created, started, one per step, ended with the last, announced
        assert cost.traffic.writes == cycles + 1 + 3
        assert cost.traffic.reads == (cycles + 1 if cycles <= 25 else 0)
        # One unit a step, and one more for the last, which is written in a transaction.
        assert cost.step_units == cycles + 2
    per_step = (costs[25].step_bytes - costs[5].step_bytes) / 20
    expected = costs[25].step_bytes + 75 * per_step
    assert abs(costs[100].step_bytes - expected) < 0.03 * expected
    tell(report(costs))


def report(costs: dict[int, Cost]) -> str:
    lines = ["cycles  writes  steps WCU  life WCU  index WCU  cold RCU  bytes  mark WCU  mark here"]
    for cycles, cost in costs.items():
        lines.append(
            f"{cycles:6}  {cost.traffic.writes:6}  {cost.step_units:9}  {cost.life_units:8}  "
            f"{cost.index_units:9}  {cost.cold_read_units or '-':>8}  {cost.step_bytes:5}  "
            f"{MARK[cycles]:8}  {mark_units(cycles):9}"
        )
    return "\n".join(lines)


def mark_units(cycles: int) -> int:
    """The mark's way of storing (messages of a cycle, zlib, an item each, and one at the start) on our text."""
    prose = Prose()
    task = standard_task(prose)
    records = list(standard_steps(cycles, prose))
    overhead = len(keys.task_key(task.ref)) + len(keys.step_sort_key(1)) + len("pkskbody")
    packed = [
        len(zlib.compress(json.dumps([m.to_chat() for m in record.result.messages]).encode()))
        for record in records
    ]
    return 1 + sum(write_units(size + overhead) for size in packed)


def started(bench: DynamoDbBench) -> tuple[Task, list[StepRecord]]:
    prose = Prose()
    task = standard_task(prose)
    bench.store.create_task(task, claim=None, due_at_ms=START_MS)
    return task, list(standard_steps(5, prose))
