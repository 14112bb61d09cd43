"""Task lists, on the twin and on DynamoDB."""

from dataclasses import replace

import pytest

from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.domain import identifiers
from ratchet.task_list import ListFilter, Page, TaskSummary
from tests.contract.store.benches import Bench
from tests.contract.store.samples import DONE, START_MS, record_of, ref_of, task_of

ALL = ListFilter()


def ids(page: Page) -> list[int]:
    return [int(task.task_id.removeprefix("task_")) for task in page.tasks]


@pytest.fixture
def seven(bench: Bench) -> Bench:
    """Tasks 1 to 7: odd ones of agent `odd`, the first three of user u, task 2 finished, and a foreign one."""
    for number in range(1, 8):
        task = task_of(
            number,
            agent="odd" if number % 2 else "even",
            user_id="u" if number <= 3 else None,
        )
        bench.store.create_task(task, claim=None, due_at_ms=START_MS)
    bench.store.commit(task_of(2), record_of(1, DONE), due_at_ms=START_MS)
    bench.store.create_task(task_of(9, tenant="acme2"), claim=None, due_at_ms=START_MS)
    return bench


def test_tasks_come_newest_first_and_only_the_tenants(seven: Bench) -> None:
    page = seven.store.list_tasks("acme", where=ALL, limit=20)
    assert ids(page) == [7, 6, 5, 4, 3, 2, 1]
    assert page.after is None
    assert page.tasks[-1] == TaskSummary(
        ref_of(1).task_id, TaskStatus.QUEUED, "odd", START_MS + 1, START_MS + 1, "u"
    )
    assert page.tasks[0].user_id is None


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (ALL, [7, 6, 5, 4, 3, 2, 1]),
        (ListFilter(agent="odd"), [7, 5, 3, 1]),
        (ListFilter(status=TaskStatus.SUCCEEDED), [2]),
        (ListFilter(status=TaskStatus.QUEUED, agent="odd", user_id="u"), [3, 1]),
        (ListFilter(user_id="nobody"), []),
    ],
)
def test_pages_hold_what_the_filter_lets_through_each_once(
    seven: Bench, where: ListFilter, limit: int, expected: list[int]
) -> None:
    found: list[int] = []
    after = None
    while True:
        page = seven.store.list_tasks("acme", where=where, limit=limit, after=after)
        assert len(page.tasks) == min(limit, len(expected) - len(found))
        found += ids(page)
        after = page.after
        if after is None:
            break
    assert found == expected


def test_a_tenant_without_tasks_has_an_empty_list(bench: Bench) -> None:
    assert bench.store.list_tasks("nobody", where=ALL, limit=5) == Page((), None)


def test_a_task_past_its_retention_is_not_listed(seven: Bench) -> None:
    seven.clock.advance(TERMINAL_RETENTION_SECONDS + 10)
    assert ids(seven.store.list_tasks("acme", where=ALL, limit=20)) == [7, 6, 5, 4, 3, 1]


MINUTES = [START_MS + number * 60_000 for number in range(6)]


@pytest.fixture
def spread(bench: Bench) -> Bench:
    """Six tasks, one a minute, with ids of their time."""
    for number, at_ms in enumerate(MINUTES):
        ref = TaskRef("acme", f"{identifiers.first_task_id(at_ms)}{number:016d}")
        task = replace(task_of(1), ref=ref, created_at_ms=at_ms, agent="ab"[number % 2])
        bench.store.create_task(task, claim=None, due_at_ms=START_MS)
    return bench


@pytest.mark.parametrize("limit", [1, 2, 10])
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (ListFilter(from_ms=MINUTES[2]), [5, 4, 3, 2]),
        (ListFilter(from_ms=MINUTES[2] + 1), [5, 4, 3]),
        (ListFilter(until_ms=MINUTES[2]), [1, 0]),
        (ListFilter(until_ms=MINUTES[2] + 1), [2, 1, 0]),
        (ListFilter(from_ms=MINUTES[1], until_ms=MINUTES[4]), [3, 2, 1]),
        (ListFilter(from_ms=MINUTES[1], until_ms=MINUTES[5], agent="a"), [4, 2]),
        (ListFilter(from_ms=MINUTES[4], until_ms=MINUTES[1]), []),
        (ListFilter(from_ms=-1, until_ms=2**60), [5, 4, 3, 2, 1, 0]),
        (ListFilter(until_ms=-1), []),
    ],
)
def test_tasks_are_listed_by_when_they_were_made(
    spread: Bench, where: ListFilter, limit: int, expected: list[int]
) -> None:
    found: list[int] = []
    after: str | None = None
    while after is not None or not found:
        page = spread.store.list_tasks("acme", where=where, limit=limit, after=after)
        found += [int(task.task_id[-16:]) for task in page.tasks]
        after = page.after
        if after is None:
            break
    assert found == expected
