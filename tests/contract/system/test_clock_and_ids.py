"""Clock and ids: the machine's, and those that tests decide."""

import pytest

from ratchet.adapters.system import SystemClock, UlidIds
from ratchet.domain.identifiers import is_task_id
from ratchet.ports import Clock, Ids
from ratchet.testing.clock import FakeClock, SequentialIds

CLOCKS: list[Clock] = [SystemClock(), FakeClock()]
IDS: list[Ids] = [UlidIds(FakeClock()), SequentialIds()]


@pytest.mark.parametrize("clock", CLOCKS, ids=["system", "fake"])
def test_sleeping_takes_its_time_on_both_clocks(clock: Clock) -> None:
    started_ms, started = clock.now_ms(), clock.monotonic()
    clock.sleep(0.002)
    assert clock.monotonic() - started >= 0.0019
    assert clock.now_ms() - started_ms in range(1, 5_000)


def test_the_clock_is_in_milliseconds_of_this_century() -> None:
    assert 1_700_000_000_000 < SystemClock().now_ms() < 4_000_000_000_000


@pytest.mark.parametrize("ids", IDS, ids=["ulid", "sequential"])
def test_ids_are_valid_and_never_the_same(ids: Ids) -> None:
    tasks = [ids.task_id() for _ in range(500)]
    attempts = [ids.attempt_id() for _ in range(500)]
    assert all(is_task_id(task) for task in tasks)
    assert len({*tasks, *attempts}) == 1_000


def test_ids_sort_by_the_time_of_their_making() -> None:
    clock = FakeClock()
    ids = UlidIds(clock)
    made = []
    for _ in range(100):
        made.append(ids.task_id())
        clock.advance(0.001)
    assert made == sorted(made)


def test_a_ulid_begins_with_its_time() -> None:
    # The example of the specification: https://github.com/ulid/spec
    assert UlidIds(FakeClock(1_469_918_176_385)).task_id().startswith("task_01ARYZ6S41")
