"""A task of which a crash has left the head and some of the rest, on the twin and on DynamoDB."""

import pytest

from ratchet.app.account_usage import AccountUsage
from ratchet.contracts.charge import Charge
from ratchet.contracts.errors import AttemptSuperseded, DataMissing, StoreUnavailable
from ratchet.contracts.limits import RING_AGAIN_SECONDS, TOMBSTONE_SECONDS
from ratchet.delivery_log import DeliveryAttempt
from ratchet.domain.task import Task
from ratchet.domain.usage import Counted
from ratchet.ports import IdempotencyClaim, Reserved
from ratchet.task_list import ListFilter
from tests.contract.store.benches import Bench
from tests.contract.store.samples import (
    BROKEN,
    DONE,
    START_MS,
    begin,
    record_of,
    ref_of,
    reopening_of,
    task_of,
)
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


def over(bench: Bench) -> None:
    bench.clock.advance(TOMBSTONE_SECONDS)


def test_the_sweeper_finishes_what_a_crash_has_left(bench: Bench) -> None:
    items = half_erased(bench)
    assert 0 < bench.store.erase(ref_of()) <= items
    assert bench.payload_keys() == []
    assert store(bench).session_tasks(session(bench), limit=5).tasks == ()
    assert bench.store.erase(ref_of()) == 0, "its tombstone stays for a while"
    over(bench)
    assert set(bench.due()) == {ref_of()}
    assert bench.store.erase(ref_of()) > 0
    assert bench.due() == {}


def test_the_same_request_finds_what_a_crash_has_left(bench: Bench) -> None:
    items = half_erased(bench)
    [left] = store(bench).session_tasks(session(bench), limit=5).tasks
    assert left.task_id == ref_of().task_id
    assert 0 < store(bench).erase_early(ref_of()) <= items
    assert store(bench).erase_early(ref_of()) == 0
    assert store(bench).erase_session(session(bench))
    over(bench)
    bench.store.erase(ref_of())
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


def deleted(bench: Bench) -> Task:
    """A task that is deleted while an attempt is still at work for it."""
    submit(bench)
    task = tip(bench).task
    bench.store.commit(task, record_of(1), due_at_ms=DUE)
    bench.store.commit(task, record_of(2, DONE), due_at_ms=DUE)
    assert store(bench).erase_early(ref_of()) == 4, "head, place and two steps"
    return task


def test_a_late_attempt_at_a_deleted_task_commits_and_calls_nothing(bench: Bench) -> None:
    task = deleted(bench)
    for number in (1, 2):
        with pytest.raises(AttemptSuperseded):
            bench.store.commit(task, record_of(number), due_at_ms=DUE)
        with pytest.raises(AttemptSuperseded):
            begin(bench.store, step=number)
    assert bench.store.load_remains(ref_of()) is None


def test_what_came_late_is_deleted_with_the_tombstone(bench: Bench) -> None:
    deleted(bench)
    attempt = DeliveryAttempt("evt_1", "sns", True, START_MS, "200")
    bench.store.record_delivery(ref_of(), attempt)
    assert not bench.store.reserve(
        ref_of(), step=1, before=Reserved(Charge(1), "a"), after=Reserved(Charge(2), "b")
    )
    assert bench.store.list_tasks("acme", where=ListFilter(), limit=5).tasks == ()
    over(bench)
    assert bench.store.erase(ref_of()) > 0
    assert store(bench).erase_session(session(bench))
    assert bench.is_empty()


def test_what_was_counted_of_a_deleted_task_is_not_counted_again(bench: Bench) -> None:
    task = deleted(bench)
    ref = task.ref
    assert bench.store.counted(ref) == Counted()
    submit(bench, 2)
    bench.store.commit(task_of(2), record_of(1, DONE), due_at_ms=DUE)
    AccountUsage(bench.store)(tip(bench, 2))
    before = bench.store.counted(ref_of(2))
    store(bench).erase_early(ref_of(2))
    assert bench.store.counted(ref_of(2)) == before != Counted()


def test_a_key_that_made_a_deleted_task_says_so(bench: Bench) -> None:
    claim = IdempotencyClaim("key", "digest", START_MS // 1000 + 900_000)
    submit(bench, claim=claim)
    bench.store.commit(task_of(), record_of(1, DONE), due_at_ms=DUE)
    store(bench).erase_early(ref_of())
    assert store(bench).created_by("acme", claim) is None
    with pytest.raises(DataMissing, match="is gone"):
        bench.store.create_task(task_of(2), claim=claim, due_at_ms=DUE)
