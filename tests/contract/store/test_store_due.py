"""What is due and when, on the twin and on DynamoDB."""

from ratchet.contracts.names import TaskStatus
from ratchet.domain import keys
from ratchet.ports import DueTask
from tests.contract.store.benches import EVER, Bench
from tests.contract.store.samples import DONE, START_MS, record_of, ref_of, start_of, task_of

REF = ref_of()
TASK = task_of()
SHARD = keys.due_key(REF)
DUE = START_MS + 60_000
LATER = START_MS + 120_000


def created(bench: Bench, *, due_at_ms: int = DUE) -> DueTask:
    bench.store.create_task(TASK, claim=None, due_at_ms=due_at_ms)
    (due,) = bench.store.due_tasks(SHARD, now_ms=due_at_ms, limit=5)
    return due


def test_a_task_is_due_from_its_time_on_in_its_shard(bench: Bench) -> None:
    assert created(bench) == DueTask(REF, TaskStatus.QUEUED, DUE)
    assert bench.store.due_tasks(SHARD, now_ms=DUE - 1, limit=5) == []
    others = [shard for shard in keys.due_shards() if shard != SHARD]
    assert [bench.store.due_tasks(s, now_ms=EVER, limit=5) for s in others] == [[]] * 7


def test_the_longest_due_come_first_and_no_more_than_asked_for(bench: Bench) -> None:
    same_shard = [n for n in range(1, 80) if keys.due_key(ref_of(n)) == SHARD][:5]
    for place, number in enumerate(same_shard):
        bench.store.create_task(task_of(number), claim=None, due_at_ms=DUE - place)
    found = bench.store.due_tasks(SHARD, now_ms=DUE, limit=3)
    assert [due.ref for due in found] == [ref_of(n) for n in same_shard[:1:-1]]


def test_tasks_of_all_tenants_and_in_every_status_are_due(bench: Bench) -> None:
    other = task_of(tenant="other")
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    bench.store.create_task(other, claim=None, due_at_ms=DUE)
    bench.store.mark_started(REF, start_of(at_ms=START_MS))
    bench.store.commit(other, record_of(1, DONE), due_at_ms=LATER)
    assert bench.store.due_tasks(SHARD, now_ms=LATER, limit=5) == [
        DueTask(REF, TaskStatus.RUNNING, START_MS + 60_000),
        DueTask(other.ref, TaskStatus.SUCCEEDED, LATER),
    ]


def test_what_is_postponed_is_due_later(bench: Bench) -> None:
    due = created(bench)
    assert bench.store.postpone(due, until_ms=LATER)
    assert bench.due() == {REF: LATER}


def test_of_two_that_postpone_a_task_one_does(bench: Bench) -> None:
    due = created(bench)
    assert bench.store.postpone(due, until_ms=LATER)
    assert not bench.store.postpone(due, until_ms=LATER + 5)
    assert bench.due() == {REF: LATER}


def test_a_task_whose_time_was_set_anew_is_not_postponed(bench: Bench) -> None:
    due = created(bench)
    start = start_of()
    bench.store.mark_started(REF, start)
    assert not bench.store.postpone(due, until_ms=LATER + 1)
    assert bench.due() == {REF: start.due_at_ms}


ENDED_MS = record_of(1, DONE).finished_at_ms


def test_what_is_not_there_is_not_postponed(bench: Bench) -> None:
    assert not bench.store.postpone(DueTask(REF, TaskStatus.QUEUED, DUE), until_ms=LATER)
    assert bench.is_empty()


def test_an_ended_task_is_due_again_when_it_is_said_to_be(bench: Bench) -> None:
    created(bench)
    bench.store.commit(TASK, record_of(1, DONE), due_at_ms=DUE)
    before = bench.store.load_tip(REF)
    for at_ms in (LATER, LATER, DUE):
        bench.store.due_again(REF, ended_at_ms=ENDED_MS, at_ms=at_ms)
        assert bench.due() == {REF: at_ms}
    bench.store.due_again(REF, ended_at_ms=ENDED_MS - 1, at_ms=LATER)  # of the end before a resume
    assert bench.due() == {REF: DUE}
    assert bench.store.load_tip(REF) == before


def test_a_live_task_keeps_its_own_time(bench: Bench) -> None:
    created(bench)
    bench.store.due_again(REF, ended_at_ms=ENDED_MS, at_ms=LATER)
    bench.store.due_again(ref_of(2), ended_at_ms=ENDED_MS, at_ms=LATER)
    assert bench.due() == {REF: DUE}
