"""Starting, restarting and reopening a task, on the twin and on DynamoDB."""

from dataclasses import replace

import pytest

from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS
from ratchet.contracts.names import TaskStatus
from ratchet.domain.steps import End
from ratchet.domain.task import History, TaskLimits, TaskState
from tests.contract.store.benches import Bench
from tests.contract.store.samples import (
    ASKING,
    BROKEN,
    DONE,
    LARGE,
    START_MS,
    record_of,
    ref_of,
    reopening_of,
    start_of,
    task_of,
)

REF = ref_of()
TASK = task_of()
DUE = START_MS + 60_000
LATER = START_MS + 120_000
CREATED = TASK.created_at_ms


def tip_of(bench: Bench) -> History:
    tip = bench.store.load_tip(REF)
    assert tip is not None
    return tip


def ended(bench: Bench, ending: End = BROKEN) -> History:
    """A task that ran one step and ended with the second."""
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    bench.store.mark_started(REF, start_of())
    bench.store.commit(TASK, record_of(1), due_at_ms=DUE)
    bench.store.commit(TASK, record_of(2, ending), due_at_ms=DUE)
    return tip_of(bench)


def test_a_started_task_runs_and_is_due_when_its_execution_should_be_looked_at(
    bench: Bench,
) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    start = start_of()
    bench.store.mark_started(REF, start)
    assert tip_of(bench).state == TaskState(TaskStatus.RUNNING, start.at_ms, CREATED, 1)
    assert bench.due() == {REF: start.due_at_ms}


def test_a_later_execution_replaces_an_earlier_one_and_says_where_it_restarted(
    bench: Bench,
) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    bench.store.mark_started(REF, start_of())
    second = start_of(2, at_ms=START_MS + 70_000, restarts=1, at_step=4)
    bench.store.mark_started(REF, second)
    assert tip_of(bench).state == TaskState(
        TaskStatus.RUNNING, second.at_ms, CREATED, 2, restarts=1, restarted_at_step=4
    )
    assert bench.due() == {REF: second.due_at_ms}


def test_a_start_that_follows_no_death_ends_the_count(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    bench.store.mark_started(REF, start_of(1, restarts=2, at_step=4))
    third = start_of(3, at_step=9)
    bench.store.mark_started(REF, third)
    assert tip_of(bench).state == TaskState(TaskStatus.RUNNING, third.at_ms, CREATED, 3)


def test_the_version_that_an_execution_runs_is_kept(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    assert tip_of(bench).state.machine_version is None
    for generation, version in enumerate(("m:1", "m:2", None), start=1):
        start = replace(start_of(generation), machine_version=version)
        bench.store.mark_started(REF, start)
        assert tip_of(bench).state.machine_version == version


@pytest.mark.parametrize("generation", [1, 2])
def test_an_older_or_equal_generation_changes_nothing(bench: Bench, generation: int) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    bench.store.mark_started(REF, start_of(2, restarts=1, at_step=3))
    before, due = tip_of(bench), bench.due()
    late = start_of(generation, at_ms=START_MS + 99_000, restarts=4, at_step=8)
    bench.store.mark_started(REF, late)
    assert (tip_of(bench), bench.due()) == (before, due)


def test_an_ended_task_is_not_started_again_but_knows_of_the_execution(bench: Bench) -> None:
    before = ended(bench)
    bench.store.mark_started(REF, start_of(2))
    assert tip_of(bench) == replace(before, state=replace(before.state, generation=2))


def test_a_task_that_paused_before_its_start_was_noted_stays_paused(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    bench.store.commit(TASK, record_of(1, ASKING), due_at_ms=LATER)
    before, due = tip_of(bench), bench.due()
    assert before.state.status is TaskStatus.INPUT_REQUIRED
    bench.store.mark_started(REF, start_of(1))
    assert tip_of(bench) == replace(before, state=replace(before.state, generation=1))
    assert bench.due() == due


def test_a_paused_task_goes_on_with_an_answer_and_is_looked_at_until_then(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    paused = record_of(1, ASKING)
    bench.store.commit(TASK, paused, due_at_ms=LATER)
    bench.store.due_again(REF, ended_at_ms=paused.finished_at_ms - 1, at_ms=LATER + 5)
    assert bench.due() == {REF: LATER}
    bench.store.due_again(REF, ended_at_ms=paused.finished_at_ms, at_ms=LATER + 5)
    assert bench.due() == {REF: LATER + 5}
    tip = tip_of(bench)
    assert bench.store.reopen(tip, reopening_of(tip))
    assert not bench.store.reopen(tip, reopening_of(tip))
    assert tip_of(bench).state.status is TaskStatus.QUEUED
    bench.store.commit(TASK, record_of(3, DONE), due_at_ms=LATER)
    assert tip_of(bench).state.status is TaskStatus.SUCCEEDED


def test_starting_a_task_that_is_not_there_creates_nothing(bench: Bench) -> None:
    bench.store.mark_started(REF, start_of())
    assert bench.store.load(REF) is None
    assert bench.is_empty()


def test_a_reopened_task_is_queued_with_one_step_more(bench: Bench) -> None:
    tip = ended(bench)
    reopening = reopening_of(tip)
    assert bench.store.reopen(tip, reopening)
    history = bench.store.load(REF)
    assert history is not None
    assert history.records == (record_of(1), *tip.records, reopening.record)
    assert history.task == TASK
    at = reopening.at_ms
    assert history.state == TaskState(TaskStatus.QUEUED, at, opened_at_ms=at, generation=1)
    assert tip_of(bench).records == (reopening.record,)
    assert bench.due() == {REF: reopening.due_at_ms}


@pytest.mark.parametrize("version", ["m:1", None])
def test_a_start_that_is_noted_after_the_end_still_notes_its_version(
    bench: Bench, version: str | None
) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    bench.store.commit(TASK, record_of(1, BROKEN), due_at_ms=DUE)
    bench.store.mark_started(REF, replace(start_of(), machine_version=version))
    state = tip_of(bench).state
    assert (state.status, state.generation) == (TaskStatus.FAILED, 1)
    assert state.machine_version == version


@pytest.mark.parametrize(
    ("upgrade", "first", "noted", "expected"),
    [
        (False, None, "m:1", "m:1"),
        (False, "m:0", "m:1", "m:0"),
        (True, None, "m:1", None),
        (True, "m:0", "m:1", None),
        (False, None, None, None),
    ],
)
def test_a_start_that_is_noted_after_the_task_was_reopened_starts_nothing(
    bench: Bench, upgrade: bool, first: str | None, noted: str | None, expected: str | None
) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    if first is not None:
        bench.store.mark_started(REF, replace(start_of(), machine_version=first))
    bench.store.commit(TASK, record_of(1, BROKEN), due_at_ms=DUE)
    tip = tip_of(bench)
    assert bench.store.reopen(tip, replace(reopening_of(tip), upgrade=upgrade))
    before, due = tip_of(bench).state, bench.due()
    bench.store.mark_started(REF, replace(start_of(2), machine_version=noted))
    after = tip_of(bench).state
    assert after == replace(before, generation=2, machine_version=expected)
    assert bench.due() == due
    opened = before.opened_at_ms
    bench.store.mark_started(REF, replace(start_of(3, opened_at_ms=opened), machine_version="m:2"))
    state = tip_of(bench).state
    assert (state.status, state.machine_version) == (TaskStatus.RUNNING, "m:2")


@pytest.mark.parametrize(("upgrade", "expected"), [(False, "m:1"), (True, None)])
def test_a_reopened_task_keeps_its_version_unless_it_is_upgraded(
    bench: Bench, upgrade: bool, expected: str | None
) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    bench.store.mark_started(REF, replace(start_of(), machine_version="m:1"))
    bench.store.commit(TASK, record_of(1, BROKEN), due_at_ms=DUE)
    tip = tip_of(bench)
    assert tip.state.machine_version == "m:1"
    assert bench.store.reopen(tip, replace(reopening_of(tip), upgrade=upgrade))
    assert tip_of(bench).state.machine_version == expected


def test_a_reopened_task_forgets_its_restarts(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=DUE)
    bench.store.mark_started(REF, start_of(5, restarts=5, at_step=1))
    bench.store.commit(TASK, record_of(1, BROKEN), due_at_ms=DUE)
    tip = tip_of(bench)
    assert bench.store.reopen(tip, reopening_of(tip))
    state = tip_of(bench).state
    assert (state.generation, state.restarts, state.restarted_at_step) == (5, 0, 0)


@pytest.mark.parametrize("goals", [("small", "small"), (LARGE, LARGE)])
def test_a_task_is_reopened_with_other_limits(bench: Bench, goals: tuple[str, str]) -> None:
    task = task_of(goal=goals[0])
    bench.store.create_task(task, claim=None, due_at_ms=DUE)
    bench.store.commit(task, record_of(1, BROKEN), due_at_ms=DUE)
    tip = tip_of(bench)
    limits = TaskLimits(max_steps=99, max_cost_usd=0.5)
    assert bench.store.reopen(tip, reopening_of(tip, limits=limits))
    now = tip_of(bench)
    assert now.task.limits == limits
    assert now.task.goal == goals[1]


def test_a_reopened_task_can_run_and_end_again(bench: Bench) -> None:
    tip = ended(bench)
    bench.store.reopen(tip, reopening_of(tip))
    bench.store.mark_started(REF, start_of(2, at_ms=START_MS + 95_000))
    last = record_of(4, DONE)
    assert bench.store.commit(TASK, last, due_at_ms=DUE) == last
    state = tip_of(bench).state
    assert (state.status, state.generation) == (TaskStatus.SUCCEEDED, 2)
    assert state.opened_at_ms == START_MS + 90_000
    assert bench.due() == {REF: DUE}


def test_of_two_that_reopen_a_task_one_does(bench: Bench) -> None:
    tip = ended(bench)
    first = reopening_of(tip)
    second = reopening_of(tip, at_ms=first.at_ms + 1, limits=TaskLimits(max_steps=99))
    assert bench.store.reopen(tip, first)
    before, due = tip_of(bench), bench.due()
    assert not bench.store.reopen(tip, second)
    assert not bench.store.reopen(tip, first)
    assert (tip_of(bench), bench.due()) == (before, due)


def test_a_tip_from_before_an_earlier_reopening_reopens_nothing(bench: Bench) -> None:
    stale = ended(bench)
    bench.store.reopen(stale, reopening_of(stale))
    bench.store.commit(TASK, record_of(4, BROKEN), due_at_ms=DUE)
    before = tip_of(bench)
    assert not bench.store.reopen(stale, reopening_of(stale, at_ms=START_MS + 99_000))
    assert tip_of(bench) == before


def test_a_task_that_runs_or_is_not_there_is_not_reopened(bench: Bench) -> None:
    tip = ended(bench)
    bench.store.reopen(tip, reopening_of(tip))
    running = tip_of(bench)
    assert not bench.store.reopen(tip, reopening_of(running))
    bench.lose_head(REF)
    assert not bench.store.reopen(tip, reopening_of(running))


def test_a_task_past_its_retention_is_not_reopened(bench: Bench) -> None:
    tip = ended(bench)
    bench.clock.advance(TERMINAL_RETENTION_SECONDS + 60)
    assert not bench.store.reopen(tip, reopening_of(tip))
    assert bench.store.load(REF) is None
