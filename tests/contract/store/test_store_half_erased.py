"""A task of which a crash has left the head and some of the rest, on the twin and on DynamoDB."""

import pytest

from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import RING_AGAIN_SECONDS
from tests.contract.store.benches import Bench
from tests.contract.store.samples import BROKEN, DONE, record_of, ref_of, reopening_of, task_of
from tests.contract.store.test_store_sessions import (
    DUE,
    NOW,
    leave,
    session,
    store,
    submit,
    take,
    tip,
)

STEPS = 31  # more than one batch of deletions


def half_erased(bench: Bench) -> int:
    """Of a session; how many items it had."""
    submit(bench)
    take(bench)
    for number in range(1, STEPS):
        bench.store.commit(task_of(), record_of(number), due_at_ms=DUE)
    bench.store.commit(task_of(), record_of(STEPS, DONE), due_at_ms=NOW + 10**9)
    leave(bench)
    with bench.interrupt_next_erase(), pytest.raises(StoreUnavailable):
        store(bench).erase_early(ref_of())
    return STEPS + 2


def test_once_its_erasing_has_begun_nobody_can_read_a_task(bench: Bench) -> None:
    half_erased(bench)
    submit(bench, 2)
    assert bench.store.load(ref_of()) is None
    assert bench.store.load_tip(ref_of()) is None
    assert bench.store.load_remains(ref_of()) is None
    assert tip(bench, 2).task.ref == ref_of(2)


def test_a_half_erased_task_is_due_soon_whatever_else_happens(bench: Bench) -> None:
    half_erased(bench)
    soon_ms = bench.clock.now_ms() + RING_AGAIN_SECONDS * 1000
    assert bench.due() == {ref_of(): soon_ms}
    ended_at_ms = record_of(STEPS, DONE).finished_at_ms
    bench.store.due_again(ref_of(), ended_at_ms=ended_at_ms, at_ms=NOW + 10**9)
    assert bench.due() == {ref_of(): soon_ms}


def test_the_sweeper_finishes_what_a_crash_has_left(bench: Bench) -> None:
    items = half_erased(bench)
    assert 0 < bench.store.erase(ref_of()) <= items
    assert (bench.due(), bench.payload_keys()) == ({}, [])
    assert store(bench).session_tasks(session(bench), limit=5).tasks == ()


def test_the_same_request_finds_what_a_crash_has_left(bench: Bench) -> None:
    items = half_erased(bench)
    [left] = store(bench).session_tasks(session(bench), limit=5).tasks
    assert left.task_id == ref_of().task_id
    assert 0 < store(bench).erase_early(ref_of()) <= items
    assert store(bench).erase_session(session(bench))
    assert bench.is_empty()


def test_a_half_erased_task_cannot_be_resumed(bench: Bench) -> None:
    submit(bench)
    for number in range(1, STEPS):
        bench.store.commit(task_of(), record_of(number), due_at_ms=DUE)
    bench.store.commit(task_of(), record_of(STEPS, BROKEN), due_at_ms=DUE)
    before = tip(bench)
    with bench.interrupt_next_erase(), pytest.raises(StoreUnavailable):
        store(bench).erase_early(ref_of())
    assert not bench.store.reopen(before, reopening_of(before))
