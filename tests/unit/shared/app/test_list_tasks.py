"""Which tasks a list shows: of a session, with filters on top."""

from datetime import UTC, datetime, timedelta

import pytest

from ratchet import Agent
from ratchet.app.list_tasks import TaskQuery
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.identifiers import first_task_id
from ratchet.domain.rfc3339 import milliseconds
from ratchet.testing.chat import says
from tests.unit.shared.app.world import World

NEWEST_FIRST = [6, 5, 4, 3, 2, 1]


@pytest.fixture
def world() -> World:
    """Tasks 1 to 6: even ones are of session s, task 2 has ended, and a stranger has a session of that name."""
    made = World(Agent("one", "", policy="react"), chat=lambda _: says("Done."))
    for number in range(1, 7):
        session = {"session_id": "s"} if number % 2 == 0 else {}
        user = {"user_id": "u"} if number > 3 else {}
        ref = made.submitted(**session, **user)
        if number == 2:
            made.run(ref)
            made.announce_all(ref)
    made.submit(TaskRequest(goal="A stranger's.", session_id="s"), tenant="globex")
    return made


def pages(world: World, where: TaskQuery, *, limit: int = 2, tenant: str = "acme") -> list[int]:
    found: list[int] = []
    cursor: str | None = None
    while True:
        page, cursor = world.lists.page(tenant, where=where, limit=limit, cursor=cursor)
        assert len(page.tasks) <= limit
        found += [int(task.task_id.removeprefix("task_")) for task in page.tasks]
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_a_list_of_a_session_shows_its_tasks_newest_first(world: World, limit: int) -> None:
    assert pages(world, TaskQuery(session_id="s"), limit=limit) == [6, 4, 2]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (TaskQuery(session_id="s", status=TaskStatus.SUCCEEDED), [2]),
        (TaskQuery(session_id="s", user_id="u"), [6, 4]),
        (TaskQuery(session_id="s", agent="two"), []),
        (TaskQuery(session_id="unheard-of"), []),
        (TaskQuery(user_id="u"), [6, 5, 4]),
        (TaskQuery(), NEWEST_FIRST),
    ],
)
def test_filters_are_taken_together(world: World, where: TaskQuery, expected: list[int]) -> None:
    assert pages(world, where, limit=1) == expected


def test_a_tenant_sees_only_its_own_session_of_that_name(world: World) -> None:
    assert pages(world, TaskQuery(session_id="s"), tenant="globex") == [7]


def test_a_filter_that_hardly_any_task_of_a_session_passes_goes_on_by_cursor(world: World) -> None:
    for _ in range(12):
        world.submitted(session_id="s")
    where = TaskQuery(session_id="s", status=TaskStatus.SUCCEEDED)
    page, cursor = world.lists.page("acme", where=where, limit=1, cursor=None)
    assert (page.tasks, cursor is None) == ((), False)
    assert pages(world, where, limit=1) == [2]


def test_a_cursor_goes_on_only_with_the_same_filters(world: World) -> None:
    where = TaskQuery(session_id="s")
    _, cursor = world.lists.page("acme", where=where, limit=1, cursor=None)
    for other in (TaskQuery(), TaskQuery(session_id="t"), TaskQuery(session_id="s", agent="one")):
        with pytest.raises(InvalidRequest, match="same filters"):
            world.lists.page("acme", where=other, limit=1, cursor=cursor)


def test_times_count_in_any_zone_and_however_far_away() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert milliseconds(noon) == milliseconds(noon.astimezone(None)) == 1_767_268_800_000
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert first_task_id(milliseconds(first)) == "task_0000000000"
    assert first_task_id(milliseconds(first)) < first_task_id(milliseconds(last))
    assert first_task_id(milliseconds(noon)) < first_task_id(
        milliseconds(noon + timedelta(milliseconds=1))
    )
    assert first_task_id(2**60) == "task_7ZZZZZZZZZ"
