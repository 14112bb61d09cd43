"""The end of a task's retention, on the twin and on DynamoDB."""

import pytest

from ratchet.contracts.charge import Charge
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS
from ratchet.contracts.names import TaskStatus
from ratchet.delivery_log import DeliveryAttempt
from ratchet.domain.task import erase_at
from ratchet.ports import IdempotencyClaim, Reserved
from tests.contract.store.benches import Bench
from tests.contract.store.samples import (
    BROKEN,
    DONE,
    LARGE,
    START_MS,
    begin,
    intent_of,
    record_of,
    ref_of,
    reopening_of,
    start_of,
    task_of,
)

REF = ref_of()
TASK = task_of(goal=LARGE)
CLAIM = IdempotencyClaim("order-17", "a" * 64, expires_at=START_MS // 1000 + 3600)


def finished(bench: Bench, *, steps: int = 3) -> int:
    """A finished task with one of everything; how many items it has."""
    bench.store.create_task(TASK, claim=CLAIM, due_at_ms=START_MS)
    bench.store.mark_started(REF, start_of())
    assert bench.store.reserve(REF, step=1, before=None, after=Reserved(Charge(500, 90), "a"))
    begin(bench.store)
    bench.store.end_effect(REF, step=1, key="k", intent=intent_of(result=LARGE))
    for number in range(1, steps):
        text = LARGE if number == 1 else "found it"
        bench.store.commit(
            TASK,
            record_of(number, text=text),
            due_at_ms=START_MS,
            effects_of="a" if number == 1 else None,
        )
    bench.store.commit(TASK, record_of(steps, DONE), due_at_ms=START_MS)
    for channel in ("sns", "webhook"):
        attempt = DeliveryAttempt("evt_1", channel, True, START_MS, "200")
        bench.store.record_delivery(REF, attempt)
    return steps + 6


def over(bench: Bench) -> None:
    bench.clock.advance(TERMINAL_RETENTION_SECONDS + 600)


def test_nothing_of_an_erased_task_is_left_and_others_are_left_alone(bench: Bench) -> None:
    items = finished(bench)
    other = task_of(2, goal=LARGE)
    bench.store.create_task(other, claim=None, due_at_ms=START_MS)
    bench.store.commit(other, record_of(1, text=LARGE), due_at_ms=START_MS)
    over(bench)
    assert bench.store.erase(REF) == items
    assert bench.due() == {other.ref: START_MS}
    assert len(bench.payload_keys()) == 2
    assert all(key.startswith(f"acme/{other.ref.task_id}/") for key in bench.payload_keys())
    history = bench.store.load(other.ref)
    assert history is not None
    assert len(history.records) == 1
    assert bench.store.deliveries(REF, "evt_1") == {}


def test_erasing_is_done_from_the_end_of_the_retention_on(bench: Bench) -> None:
    finished(bench)
    left_ms = erase_at(record_of(3, DONE)) - bench.clock.now_ms()
    bench.clock.advance((left_ms - 1) / 1000)
    assert bench.store.erase(REF) == 0
    assert bench.store.load(REF) is not None
    bench.clock.advance(0.001)
    assert bench.store.erase(REF) > 0
    assert bench.is_empty()
    assert bench.payload_keys() == []


def test_erasing_twice_is_erasing_once(bench: Bench) -> None:
    finished(bench)
    over(bench)
    assert bench.store.erase(REF) > 0
    assert bench.store.erase(REF) == 0


def test_a_task_that_never_was_is_erased_at_no_cost(bench: Bench) -> None:
    assert bench.store.erase(REF) == 0
    assert bench.is_empty()


@pytest.mark.parametrize("started", [False, True])
def test_a_live_task_is_not_erased_however_old_it_is(bench: Bench, started: bool) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=START_MS)
    if started:
        bench.store.mark_started(REF, start_of())
    bench.store.commit(TASK, record_of(1, text=LARGE), due_at_ms=START_MS)
    before, payloads = bench.store.load(REF), bench.payload_keys()
    over(bench)
    assert bench.store.erase(REF) == 0
    assert (bench.store.load(REF), bench.payload_keys()) == (before, payloads)


def test_a_reopened_task_lives_however_long_ago_it_ended(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=START_MS)
    bench.store.commit(TASK, record_of(1, BROKEN), due_at_ms=START_MS)
    tip = bench.store.load_tip(REF)
    assert tip is not None
    assert bench.store.reopen(tip, reopening_of(tip))
    over(bench)
    assert bench.store.erase(REF) == 0
    history = bench.store.load(REF)
    assert history is not None
    assert (history.state.status, len(history.records)) == (TaskStatus.QUEUED, 2)


def test_what_an_interrupted_erasing_left_is_found_and_erased(bench: Bench) -> None:
    items = finished(bench, steps=40)
    over(bench)
    with bench.interrupt_next_erase(), pytest.raises(StoreUnavailable):
        bench.store.erase(REF)
    assert bench.due() == {REF: START_MS}
    assert bench.store.load_tip(REF) is None
    assert 0 < bench.store.erase(REF) <= items
    assert bench.is_empty()
    assert (bench.due(), bench.payload_keys()) == ({}, [])


def test_what_a_lost_head_leaves_behind_can_be_erased(bench: Bench) -> None:
    items = finished(bench)
    bench.lose_head(REF)
    assert bench.store.erase(REF) == items - 1
    assert bench.is_empty()
    assert bench.payload_keys() == []
