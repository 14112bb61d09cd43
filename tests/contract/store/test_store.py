"""The CheckpointStore's promises, on the twin and on DynamoDB."""

import pytest

from ratchet.contracts.errors import DataMissing
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.request_errors import TaskAlreadyFinished, TaskNotFound
from ratchet.domain.keys import UnsafeKey
from ratchet.domain.steps import End, StepRecord
from ratchet.domain.task import TaskState, erase_at
from ratchet.ports import IdempotencyClaim
from tests.contract.store.benches import Bench
from tests.contract.store.samples import (
    ACTING,
    BROKEN,
    DONE,
    START_MS,
    begin,
    record_of,
    ref_of,
    start_of,
    task_of,
)

REF = ref_of()
TASK = task_of()
DUE = START_MS + 60_000
LATER = START_MS + 120_000
CLAIM = IdempotencyClaim("order-17", "a" * 64, expires_at=START_MS // 1000 + 3600)


def committed(bench: Bench, number: int, *, ending: End | None = None) -> list[StepRecord]:
    """A task with so many steps."""
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    records = [record_of(n) for n in range(1, number)]
    records.append(record_of(number, ending or ACTING))
    for record in records:
        bench.store.commit(TASK, record, due_at_ms=LATER)
    return records


def test_a_new_task_is_queued_and_reads_back_as_it_was_asked(bench: Bench) -> None:
    created = bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    history = bench.store.load(REF)
    assert history is not None
    assert (history.task, history.state, history.records) == (TASK, created.state, ())
    at = TASK.created_at_ms
    assert created.state == TaskState(TaskStatus.QUEUED, at, opened_at_ms=at)
    assert not created.is_replay


def test_a_task_without_the_optional_fields_reads_back_the_same(bench: Bench) -> None:
    plain = task_of(user_id=None, webhook_url=None, metadata={})
    bench.store.create_task(plain, claim=None, due_at_ms=DUE)
    history = bench.store.load(REF)
    assert history is not None
    assert history.task == plain


def test_a_task_that_is_not_there_is_none(bench: Bench) -> None:
    assert bench.store.load(REF) is None
    assert bench.store.load_tip(REF) is None


def test_another_tenants_task_is_none(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    assert bench.store.load(ref_of(tenant="acme2")) is None


def test_creating_the_same_task_twice_is_one_task_and_no_replay(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    again = bench.store.create_task(TASK, claim=None, due_at_ms=LATER)
    assert (again.task, again.is_replay) == (TASK, False)
    assert bench.due() == {REF: DUE}


def test_a_taken_task_id_answers_with_the_task_that_holds_it(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    other = bench.store.create_task(task_of(goal="Another"), claim=None, due_at_ms=DUE)
    assert (other.task, other.is_replay) == (TASK, True)


def test_a_known_idempotency_key_answers_with_its_task_and_digest(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=CLAIM, due_at_ms=DUE)
    bench.store.mark_started(REF, start_of())
    second = IdempotencyClaim(CLAIM.key, "b" * 64, CLAIM.expires_at)
    created = bench.store.create_task(task_of(2), claim=second, due_at_ms=DUE)
    assert (created.task, created.is_replay) == (TASK, True)
    assert created.body_sha256 == CLAIM.body_sha256
    assert created.state.status is TaskStatus.RUNNING
    assert bench.store.load(ref_of(2)) is None


def test_a_request_sent_again_with_its_own_key_is_no_replay(bench: Bench) -> None:
    first = bench.store.create_task(TASK, claim=CLAIM, due_at_ms=DUE)
    assert bench.store.create_task(TASK, claim=CLAIM, due_at_ms=DUE) == first
    assert not first.is_replay


def test_an_idempotency_key_belongs_to_its_tenant(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=CLAIM, due_at_ms=DUE)
    other = task_of(2, tenant="other")
    assert not bench.store.create_task(other, claim=CLAIM, due_at_ms=DUE).is_replay


def test_an_expired_idempotency_key_counts_as_absent_even_while_it_is_stored(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=CLAIM, due_at_ms=DUE)
    bench.clock.advance(3600)
    assert bench.store.create_task(task_of(2), claim=CLAIM, due_at_ms=DUE).is_replay
    bench.clock.advance(1)
    assert not bench.store.create_task(task_of(2), claim=CLAIM, due_at_ms=DUE).is_replay


def test_a_new_key_for_a_taken_task_id_answers_with_the_task_and_claims_nothing(
    bench: Bench,
) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    other = task_of(goal="Another")
    assert bench.store.create_task(other, claim=CLAIM, due_at_ms=DUE).task == TASK
    assert not bench.store.create_task(task_of(2), claim=CLAIM, due_at_ms=DUE).is_replay


def test_ids_that_could_leave_their_place_in_a_key_are_refused(bench: Bench) -> None:
    for ref in (ref_of(tenant="a#b"), ref_of(tenant=""), ref_of(tenant="a\n")):
        with pytest.raises(UnsafeKey):
            bench.store.load(ref)


def test_steps_read_back_in_order_and_equal(bench: Bench) -> None:
    records = committed(bench, 12)
    history = bench.store.load(REF)
    assert history is not None
    assert history.records == tuple(records)


def test_a_load_after_a_step_brings_only_the_later_ones(bench: Bench) -> None:
    records = committed(bench, 4)
    history = bench.store.load(REF, after=2)
    assert history is not None
    assert history.records == tuple(records[2:])
    nothing_new = bench.store.load(REF, after=4)
    assert nothing_new is not None
    assert nothing_new.records == ()


def test_the_tip_is_the_last_step_alone(bench: Bench) -> None:
    records = committed(bench, 11)
    begin(bench.store, step=12)
    tip = bench.store.load_tip(REF)
    assert tip is not None
    assert tip.records == (records[-1],)


def test_the_tip_of_a_task_without_steps_has_none(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    tip = bench.store.load_tip(REF)
    assert tip is not None
    assert tip.records == ()


def test_the_first_commit_of_a_step_wins_and_the_loser_adopts_it(bench: Bench) -> None:
    committed(bench, 1)
    winner = record_of(2, attempt=1)
    assert bench.store.commit(TASK, winner, due_at_ms=LATER) == winner
    for loser in (record_of(2, attempt=2), record_of(2, DONE, attempt=3)):
        assert bench.store.commit(TASK, loser, due_at_ms=LATER) == winner
    history = bench.store.load(REF)
    assert history is not None
    assert history.state.status is TaskStatus.QUEUED


def test_a_commit_sent_again_finds_its_own_step(bench: Bench) -> None:
    committed(bench, 1)
    for record in (record_of(2), record_of(3, DONE)):
        assert bench.store.commit(TASK, record, due_at_ms=LATER) == record
        assert bench.store.commit(TASK, record, due_at_ms=LATER) == record


@pytest.mark.parametrize("ending", [DONE, BROKEN])
def test_the_last_step_brings_status_and_the_duty_to_announce_with_it(
    bench: Bench, ending: End
) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    bench.store.mark_started(REF, start_of(3, restarts=1, at_step=2))
    last = record_of(1, ending)
    bench.store.commit(TASK, last, due_at_ms=LATER)
    history = bench.store.load(REF)
    assert history is not None
    assert history.state == TaskState(
        ending.status, last.finished_at_ms, TASK.created_at_ms, 3, restarts=1, restarted_at_step=2
    )
    assert history.next == ending
    assert bench.due() == {REF: LATER}


def test_a_task_that_was_never_marked_started_can_end(bench: Bench) -> None:
    committed(bench, 1, ending=DONE)
    bench.store.mark_started(REF, start_of(at_ms=LATER))
    history = bench.store.load_tip(REF)
    assert history is not None
    assert history.state.status is TaskStatus.SUCCEEDED


def test_an_ended_task_does_not_end_again_at_another_step(bench: Bench) -> None:
    committed(bench, 1, ending=DONE)
    with pytest.raises(TaskAlreadyFinished):
        bench.store.commit(TASK, record_of(2, BROKEN), due_at_ms=LATER)
    history = bench.store.load(REF)
    assert history is not None
    assert (history.state.status, len(history.records)) == (TaskStatus.SUCCEEDED, 1)


def test_a_task_that_is_not_there_cannot_end(bench: Bench) -> None:
    with pytest.raises(TaskNotFound):
        bench.store.commit(TASK, record_of(1, DONE), due_at_ms=LATER)
    assert bench.store.load(REF) is None


def test_a_missing_step_is_noticed(bench: Bench) -> None:
    committed(bench, 1)
    bench.store.commit(TASK, record_of(3), due_at_ms=LATER)
    with pytest.raises(DataMissing, match="step 2 "):
        bench.store.load(REF)
    with pytest.raises(DataMissing, match="step 2 "):
        bench.store.load(REF, after=1)


def test_a_finished_task_is_seen_for_its_retention_and_no_longer(bench: Bench) -> None:
    last = committed(bench, 1, ending=DONE)[-1]
    left_ms = erase_at(last) - bench.clock.now_ms()
    bench.clock.advance((left_ms - 1) / 1000)
    assert bench.store.load(REF) is not None
    bench.clock.advance(0.001)
    assert bench.store.load(REF) is None
    assert bench.store.load_tip(REF) is None


def test_a_task_whose_head_ttl_took_is_none(bench: Bench) -> None:
    committed(bench, 2)
    bench.lose_head(REF)
    assert bench.store.load(REF) is None
    assert bench.store.load_tip(REF) is None


def test_a_key_whose_task_is_gone_says_so_and_creates_nothing(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=CLAIM, due_at_ms=DUE)
    bench.lose_head(REF)
    with pytest.raises(DataMissing, match=REF.task_id):
        bench.store.create_task(task_of(2), claim=CLAIM, due_at_ms=DUE)
    assert bench.store.load(ref_of(2)) is None
