"""What can be read of a task whose large bodies are gone or altered: on the twin and on DynamoDB."""

import pytest

from ratchet.contracts.errors import DataMissing
from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS
from ratchet.contracts.names import TaskStatus
from ratchet.domain.remains import unreadable_end
from ratchet.domain.steps import End, Paused, Step
from ratchet.domain.task import History
from ratchet.ports import ANY_ATTEMPT
from tests.contract.store.benches import Bench
from tests.contract.store.samples import (
    ASKING,
    DONE,
    LARGE,
    START_MS,
    begin,
    record_of,
    ref_of,
    task_of,
)

REF = ref_of()
TASK = task_of()


def remains_of(bench: Bench) -> History:
    remains = bench.store.load_remains(REF)
    assert remains is not None
    return remains


def lose_all(bench: Bench) -> None:
    for key in bench.payload_keys():
        bench.lose_payload(key)
    with pytest.raises(DataMissing):
        bench.store.load_tip(REF)


def test_what_can_be_read_is_read_as_it_is(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=START_MS)
    assert bench.store.load_remains(REF) == bench.store.load_tip(REF)
    for number in (1, 2):
        bench.store.commit(TASK, record_of(number), due_at_ms=START_MS)
    begin(bench.store, step=3)
    assert bench.store.load_remains(REF) == bench.store.load_tip(REF)


@pytest.mark.parametrize("following", [None, ASKING], ids=["running", "asking"])
def test_a_task_whose_last_step_is_gone_can_be_ended(
    bench: Bench, following: Paused | None
) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=START_MS)
    bench.store.commit(TASK, record_of(1), due_at_ms=START_MS)
    last = record_of(2, following or record_of(2).next, text=LARGE)
    bench.store.commit(TASK, last, due_at_ms=START_MS)
    begin(bench.store, step=3)
    lose_all(bench)
    remains = remains_of(bench)
    assert remains.task == TASK
    assert (remains.next_number, isinstance(remains.next, Step)) == (3, True)
    assert remains.totals == record_of(1).totals
    end = unreadable_end(remains, DataMissing("gone"), now_ms=START_MS + 9_000)
    assert bench.store.commit(TASK, end, due_at_ms=START_MS, effects_of=ANY_ATTEMPT) == end
    tip = bench.store.load_tip(REF)
    assert tip is not None
    assert (tip.state.status, tip.records) == (TaskStatus.FAILED, (end,))


def test_an_ended_task_whose_last_step_is_gone_says_how_it_ended(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=START_MS)
    bench.store.commit(TASK, record_of(1, DONE, text=LARGE), due_at_ms=START_MS)
    lose_all(bench)
    end = remains_of(bench).next
    assert isinstance(end, End)
    assert end.failure is not None
    assert (end.status, end.output, end.failure.code) == (
        TaskStatus.SUCCEEDED,
        None,
        "data_missing",
    )


def test_a_lost_goal_leaves_the_steps_and_what_the_head_says(bench: Bench) -> None:
    large = task_of(goal=LARGE)
    bench.store.create_task(large, claim=None, due_at_ms=START_MS)
    lose_all(bench)
    remains = remains_of(bench)
    assert (remains.task.goal, remains.task.agent, remains.task.user_id, remains.next_number) == (
        "",
        large.agent,
        large.user_id,
        1,
    )
    bench.store.commit(large, record_of(1, DONE), due_at_ms=START_MS)
    assert remains_of(bench).records == (record_of(1, DONE),)


def test_nothing_is_left_of_a_task_that_is_over_or_never_was(bench: Bench) -> None:
    assert bench.store.load_remains(REF) is None
    bench.store.create_task(TASK, claim=None, due_at_ms=START_MS)
    bench.store.commit(TASK, record_of(1, DONE), due_at_ms=START_MS)
    bench.clock.advance(TERMINAL_RETENTION_SECONDS + 3)
    assert bench.store.load_remains(REF) is None


def test_totals_are_those_of_the_last_step_that_can_be_read(bench: Bench) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=START_MS)
    for number in (1, 2):
        bench.store.commit(TASK, record_of(number, text=LARGE), due_at_ms=START_MS)
    lose_all(bench)
    remains = remains_of(bench)
    assert (remains.next_number, remains.totals.steps) == (3, 0)
