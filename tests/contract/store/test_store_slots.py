"""Slots and lines, on the twin and on DynamoDB: the counters are the marks on the heads, whatever happens."""

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratchet.admission_ports import SlotStore
from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus, WaitingFor
from ratchet.domain.admission import Candidate, Limit
from ratchet.domain.slots import SHARDS, Board, Place, Seat, Seating
from ratchet.domain.steps import End, Paused
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import Bench, DynamoDbBench, MemoryBench
from tests.contract.store.samples import (
    ASKING,
    BROKEN,
    DONE,
    START_MS,
    record_of,
    ref_of,
    reopening_of,
    start_of,
    task_of,
)
from tests.contract.store.wire import faults, watched

DUE = START_MS + 60_000
SEAT = Seat(shard=3, shard_cap=5, tenant_cap=5, due_at_ms=DUE + 1)
TENANTS = ("acme", "other")


def slots(bench: Bench) -> SlotStore:
    return cast("SlotStore", bench.store)


def queue(bench: Bench, number: int = 1, tenant: str = "acme", *, priority: int = 5) -> TaskRef:
    task = task_of(number, tenant, priority=priority)
    bench.store.create_task(task, claim=None, due_at_ms=DUE)
    return task.ref


def place(number: int = 1, tenant: str = "acme", *, priority: int = 5) -> Place:
    task = task_of(number, tenant)
    waiting = Candidate(tenant, task.ref.task_id, task.created_at_ms, priority)
    return Place(waiting, WaitingFor.TENANT_LIMIT, DUE + 7)


def state_of(bench: Bench, ref: TaskRef) -> Any:
    tip = bench.store.load_tip(ref)
    assert tip is not None
    return tip.state


def running(bench: Bench) -> tuple[dict[str, int], int]:
    counts = slots(bench).counts(TENANTS)
    return dict(counts.tenants), counts.total


def line(bench: Bench, tenant: str = "acme") -> list[str]:
    return [c.task_id for c in slots(bench).first_waiting(tenant, limit=9)]


def test_a_seat_is_marked_on_the_head_and_counted_twice_over(bench: Bench) -> None:
    ref = queue(bench)
    assert slots(bench).counts(TENANTS).shards == [0] * SHARDS
    assert slots(bench).seat(ref, SEAT) is Seating.SEATED
    assert state_of(bench, ref).slot == 3
    assert state_of(bench, ref).status is TaskStatus.QUEUED
    assert bench.due() == {ref: DUE + 1}, "if nobody starts it, somebody looks"
    assert slots(bench).counts(TENANTS).shards == [0, 0, 0, 1, 0, 0, 0, 0]
    assert running(bench) == ({"acme": 1, "other": 0}, 1)


def test_a_task_takes_one_seat_however_often_it_is_asked_for(bench: Bench) -> None:
    ref = queue(bench)
    assert [slots(bench).seat(ref, SEAT) for _ in range(3)] == [Seating.SEATED] * 3
    assert running(bench) == ({"acme": 1, "other": 0}, 1)


@pytest.mark.parametrize(
    "full", [replace(SEAT, tenant_cap=1), replace(SEAT, shard_cap=1)], ids=["tenant", "shard"]
)
def test_a_full_counter_refuses_and_leaves_everything_as_it_was(bench: Bench, full: Seat) -> None:
    first, second = queue(bench), queue(bench, 2)
    assert slots(bench).seat(first, full) is Seating.SEATED
    assert slots(bench).seat(second, full) is Seating.FULL
    assert state_of(bench, second).slot is None
    assert running(bench) == ({"acme": 1, "other": 0}, 1)
    other_shard = replace(SEAT, shard=4)
    assert slots(bench).seat(queue(bench, 3, "other"), other_shard) is Seating.SEATED


def test_what_does_not_wait_gets_no_seat(bench: Bench) -> None:
    runs, ended = queue(bench), queue(bench, 2)
    bench.store.mark_started(runs, start_of())
    bench.store.commit(task_of(2), record_of(1, BROKEN), due_at_ms=DUE)
    for ref in (runs, ended, ref_of(9)):
        assert slots(bench).seat(ref, SEAT) is Seating.NOT_WAITING
        assert not slots(bench).park(replace(place(), candidate=_candidate(ref)))
    assert running(bench) == ({"acme": 0, "other": 0}, 0)
    assert line(bench) == []


def _candidate(ref: TaskRef) -> Candidate:
    return Candidate(ref.tenant, ref.task_id, START_MS, 5)


def test_a_line_has_the_more_urgent_first_then_the_longer_waiting(bench: Bench) -> None:
    for number, priority in ((1, 5), (2, 9), (3, 5), (4, 0)):
        queue(bench, number, priority=priority)
        assert slots(bench).park(place(number, priority=priority))
    queue(bench, 5, "other")
    assert slots(bench).park(place(5, "other"))
    assert line(bench) == [ref_of(n).task_id for n in (2, 1, 3, 4)]
    assert slots(bench).first_waiting("acme", limit=1) == [place(2, priority=9).candidate]
    assert line(bench, "other") == [ref_of(5).task_id]
    assert line(bench, "nobody") == []


def test_a_waiting_task_says_why_and_is_looked_at_late(bench: Bench) -> None:
    ref = queue(bench)
    for _ in range(2):
        assert slots(bench).park(place())
        assert state_of(bench, ref).waiting_for is WaitingFor.TENANT_LIMIT
        assert bench.due() == {ref: DUE + 7}
        assert line(bench) == [ref.task_id]


def test_who_takes_a_seat_leaves_the_line_and_does_not_come_back(bench: Bench) -> None:
    ref = queue(bench)
    slots(bench).park(place())
    slots(bench).seat(ref, SEAT)
    assert line(bench) == []
    assert state_of(bench, ref).waiting_for is None
    assert not slots(bench).park(place()), "a late doorbell"
    assert line(bench) == []


@pytest.mark.parametrize("ending", [BROKEN, ASKING])
def test_a_task_that_ends_in_line_leaves_it(bench: Bench, ending: End | Paused) -> None:
    ref = queue(bench)
    slots(bench).park(place())
    bench.store.commit(task_of(), record_of(1, ending), due_at_ms=DUE)
    assert (line(bench), state_of(bench, ref).waiting_for) == ([], None)


def test_a_task_that_is_started_without_a_seat_leaves_the_line_too(bench: Bench) -> None:
    ref = queue(bench)
    slots(bench).park(place())
    bench.store.mark_started(ref, start_of())
    assert (line(bench), state_of(bench, ref).waiting_for) == ([], None)


@pytest.mark.parametrize("ending", [DONE, ASKING])
def test_a_seat_comes_back_once_when_its_task_has_ended_or_paused(
    bench: Bench, ending: End | Paused
) -> None:
    ref = queue(bench)
    slots(bench).seat(ref, SEAT)
    assert not slots(bench).unseat(ref, shard=3), "it waits to be started"
    bench.store.mark_started(ref, start_of())
    assert state_of(bench, ref).slot == 3
    assert not slots(bench).unseat(ref, shard=3), "it runs"
    bench.store.commit(task_of(), record_of(1, ending), due_at_ms=DUE)
    assert running(bench)[1] == 1
    assert not slots(bench).unseat(ref, shard=4), "another shard's"
    assert [slots(bench).unseat(ref, shard=3) for _ in range(2)] == [True, False]
    assert running(bench) == ({"acme": 0, "other": 0}, 0)
    assert state_of(bench, ref).slot is None


def test_a_task_that_goes_on_before_its_seat_came_back_keeps_it(bench: Bench) -> None:
    ref = queue(bench)
    slots(bench).seat(ref, SEAT)
    bench.store.mark_started(ref, start_of())
    bench.store.commit(task_of(), record_of(1, ASKING), due_at_ms=DUE)
    tip = bench.store.load_tip(ref)
    assert tip is not None
    assert bench.store.reopen(tip, reopening_of(tip))
    assert not slots(bench).unseat(ref, shard=3)
    assert (state_of(bench, ref).slot, running(bench)[1]) == (3, 1)


def test_erasing_a_task_that_never_gave_its_seat_back_does_so(bench: Bench) -> None:
    ref = queue(bench)
    slots(bench).seat(ref, SEAT)
    bench.store.commit(task_of(), record_of(1, DONE), due_at_ms=DUE)
    assert bench.store.erase(ref) == 0
    bench.clock.advance(TERMINAL_RETENTION_SECONDS + 10)
    assert bench.store.erase(ref) == 2
    assert running(bench) == ({"acme": 0, "other": 0}, 0)


def test_the_board_shows_the_limit_and_who_waits(bench: Bench) -> None:
    board = slots(bench).board()
    assert board == Board()
    slots(bench).note_waiting("acme", at_ms=START_MS + 5)
    slots(bench).note_waiting("acme", at_ms=START_MS)
    slots(bench).note_waiting("other", at_ms=START_MS)
    assert slots(bench).move_limit(board, Limit(40), at_ms=START_MS, throttled=2)
    seen = slots(bench).board()
    assert seen == Board(Limit(40), START_MS, 2, {"acme": START_MS + 5, "other": START_MS})
    assert seen.tenants(now_ms=START_MS + 10_000, within_seconds=9) == []
    assert not slots(bench).move_limit(board, Limit(9), at_ms=START_MS + 1, throttled=2)
    assert slots(bench).move_limit(seen, Limit(30, 37), at_ms=START_MS + 1, throttled=3)
    assert slots(bench).board().limit == Limit(30, 37)


def test_429s_are_counted_over_all_shards(bench: Bench) -> None:
    for shard in (0, 0, 7):
        slots(bench).note_throttled(shard)
    assert slots(bench).throttled() == 3


def test_a_seat_whose_answer_was_lost_is_counted_once(dynamodb: DynamoDbBench) -> None:
    ref = queue(dynamodb)
    with faults(dynamodb.client, "TransactWriteItems", times=1, applied=True) as met:
        assert slots(dynamodb).seat(ref, SEAT) is Seating.SEATED
    assert met
    assert running(dynamodb) == ({"acme": 1, "other": 0}, 1)


def test_an_unseat_whose_answer_was_lost_is_counted_once(dynamodb: DynamoDbBench) -> None:
    ref = queue(dynamodb)
    slots(dynamodb).seat(ref, SEAT)
    dynamodb.store.commit(task_of(), record_of(1, DONE), due_at_ms=DUE)
    with faults(dynamodb.client, "TransactWriteItems", times=1, applied=True):
        slots(dynamodb).unseat(ref, shard=3)
    assert running(dynamodb) == ({"acme": 0, "other": 0}, 0)


def test_every_look_and_every_move_is_one_request(dynamodb: DynamoDbBench) -> None:
    ref = queue(dynamodb)
    with watched(dynamodb.client) as traffic:
        slots(dynamodb).park(place())
        slots(dynamodb).board()
        slots(dynamodb).counts([f"t{n}" for n in range(80)])
        slots(dynamodb).first_waiting("acme", limit=10)
        slots(dynamodb).seat(ref, SEAT)
        slots(dynamodb).throttled()
        slots(dynamodb).note_throttled(3)
        slots(dynamodb).note_waiting("acme", at_ms=START_MS)
    assert [name for name, _ in traffic.requests] == [
        "UpdateItem",
        "Query",
        "BatchGetItem",
        "Query",
        "TransactWriteItems",
        "BatchGetItem",
        "UpdateItem",
        "UpdateItem",
    ]


numbers, tenants = st.integers(1, 3), st.sampled_from(TENANTS)
caps, shards = st.integers(1, 2), st.integers(0, 1)


@st.composite
def steps_of_a_life(draw: st.DrawFn) -> Any:
    number, tenant = draw(numbers), draw(tenants)
    ref, task = ref_of(number, tenant), task_of(number, tenant)
    match draw(st.sampled_from(["seat", "seat", "park", "start", "end", "unseat", "reopen"])):
        case "seat":
            seat = Seat(draw(shards), draw(caps), draw(caps), DUE)
            return lambda bench: slots(bench).seat(ref, seat)
        case "park":
            return lambda bench: slots(bench).park(place(number, tenant))
        case "start":
            start = start_of(draw(numbers))
            return lambda bench: bench.store.mark_started(ref, start)
        case "end":
            endings: list[End | Paused] = [BROKEN, ASKING]
            ending, at = draw(st.sampled_from(endings)), draw(st.integers(1, 3))
            return lambda bench: _ended(bench, task, at, ending)
        case "unseat":
            shard = draw(shards)
            return lambda bench: slots(bench).unseat(ref, shard=shard)
        case _:
            return lambda bench: _reopened(bench, ref)


def _ended(bench: Bench, task: Any, at: int, ending: End | Paused) -> object:
    tip = bench.store.load_tip(task.ref)
    if tip is None or tip.next_number != at or tip.state.status.is_terminal:
        return None
    return bench.store.commit(task, record_of(at, ending), due_at_ms=DUE)


def _reopened(bench: Bench, ref: TaskRef) -> object:
    tip = bench.store.load_tip(ref)
    if tip is None or not tip.records:
        return None
    return bench.store.reopen(tip, reopening_of(tip))


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(life=st.lists(steps_of_a_life(), min_size=5, max_size=25))
def test_both_stores_count_alike(life: list[Any]) -> None:
    with mocked_aws():
        memory, dynamodb = MemoryBench(), DynamoDbBench()
        for bench in (memory, dynamodb):
            for tenant in TENANTS:
                for number in (1, 2, 3):
                    queue(bench, number, tenant)
        for step in life:
            assert step(memory) == step(dynamodb)
            assert running(memory) == running(dynamodb)
        for tenant in TENANTS:
            assert line(memory, tenant) == line(dynamodb, tenant)
            refs = [ref_of(n, tenant) for n in (1, 2, 3)]
            states = [state_of(memory, ref) for ref in refs]
            assert states == [state_of(dynamodb, ref) for ref in refs]
            assert sum(s.slot is not None for s in states) == running(memory)[0][tenant]
