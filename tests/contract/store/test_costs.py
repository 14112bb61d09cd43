"""What a task costs in requests, bytes and DynamoDB units, on PERF.md's standard agent."""

import json
import zlib
from dataclasses import dataclass

import pytest

from ratchet.domain import keys
from ratchet.domain.steps import StepRecord
from ratchet.domain.task import Task
from tests.contract.moto_aws import show
from tests.contract.store.benches import DynamoDbBench
from tests.contract.store.standard_agent import START_MS, Prose, standard_steps, standard_task
from tests.contract.store.wire import Traffic, item_bytes, watched, write_units

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
        bench.store.mark_started(task.ref, execution_arn=_ARN + task.ref.task_id, at_ms=START_MS)
        for record in standard_steps(cycles, prose):
            if cold:
                read_units += -(-sum(map(item_bytes, bench.items())) // 4096)
                assert bench.store.load(task.ref) is not None
            bench.store.commit(task, record, due_at_ms=START_MS)
        bench.store.mark_announced(task.ref)
    counted = [r for r in traffic.requests if r[0] != "Scan"]
    sizes = [item_bytes(item) for item in bench.items()]
    *steps, head = sizes
    return Cost(
        traffic=Traffic(counted),
        # The last step and the head are written in a transaction, which costs twice.
        step_units=sum(map(write_units, steps)) + write_units(steps[-1]),
        step_bytes=sum(steps),
        life_units=(1 + 1 + 2 + 1) * write_units(head),
        # by_tenant: put, started, ended; due: put, removed, put, removed.
        index_units=3 + 4,
        cold_read_units=read_units,
    )


_ARN = "arn:aws:states:us-east-1:123456789012:execution:Checkout-Agents-StateMachine2E01DFF3:"


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
        intent = dynamodb.store.begin_effect(task.ref, step=1, key="k", attempt_id="a")
        dynamodb.store.end_effect(task.ref, step=1, key="k", intent=intent)
    assert (traffic.writes, traffic.reads) == (2, 0)


def test_costs_grow_linearly_and_stay_near_the_mark(
    dynamodb: DynamoDbBench, request: pytest.FixtureRequest
) -> None:
    costs = {}
    for cycles in MARK:
        bench = DynamoDbBench()
        cost = costs[cycles] = run(bench, cycles, cold=cycles <= 25)
        bench.close()
        # created, started, one per step, ended with the last, announced
        assert cost.traffic.writes == cycles + 1 + 3
        assert cost.traffic.reads == (cycles + 1 if cycles <= 25 else 0)
        assert cost.step_units <= cycles + 4 + cycles // 25
    per_step = (costs[25].step_bytes - costs[5].step_bytes) / 20
    expected = costs[25].step_bytes + 75 * per_step
    assert abs(costs[100].step_bytes - expected) < 0.03 * expected
    show(request, report(costs))


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
