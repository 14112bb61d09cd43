"""List tasks, and what they ask people."""

from dataclasses import asdict, dataclass
from datetime import datetime

from ratchet.app.cursors import Cursors, Listing
from ratchet.app.remains import tip_or_remains
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.domain.rfc3339 import milliseconds
from ratchet.domain.session import Session
from ratchet.domain.steps import Paused
from ratchet.domain.task import History
from ratchet.session_ports import SessionStore
from ratchet.task_list import ListFilter, Page, TaskSummary

_READS = 10
"""For a filter that few tasks of a session pass, so many of its pages are read; the cursor goes on from there."""


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Which tasks to list: those that fit all that is given; the first of the two times counts, the second does not."""

    status: TaskStatus | None = None
    agent: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    def to_texts(self) -> dict[str, str | None]:
        """As a cursor is bound to it."""
        return {name: None if v is None else str(v) for name, v in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class ListTasks:
    """The use cases of `GET /v1/tasks` and `GET /v1/interrupts`."""

    store: SessionStore
    cursors: Cursors

    def page(
        self, tenant: str, *, where: TaskQuery, limit: int, cursor: str | None
    ) -> tuple[Page, str | None]:
        """A page of the tenant's tasks, newest first, and the cursor of the next one.

        Raises:
            InvalidRequest: the cursor is not one of this list.
        """
        listing = Listing(tenant, "tasks", where.to_texts())
        after = None if cursor is None else self.cursors.read(listing, cursor)
        wanted = _filter(where)
        if where.session_id is None:
            page = self.store.list_tasks(tenant, where=wanted, limit=limit, after=after)
        else:
            session = self.store.session(tenant, where.session_id)
            page = self._of_session(session, wanted, limit=limit, before=after)
        return page, self._following(listing, page)

    def interrupts(
        self, tenant: str, *, limit: int, cursor: str | None
    ) -> tuple[list[History], str | None]:
        """The tenant's tasks that wait for people, newest first, and the cursor of the next page.

        Raises:
            InvalidRequest: the cursor is not one of this list.
        """
        listing = Listing(tenant, "interrupts")
        after = None if cursor is None else self.cursors.read(listing, cursor)
        where = ListFilter(status=TaskStatus.INPUT_REQUIRED)
        page = self.store.list_tasks(tenant, where=where, limit=limit, after=after)
        tips = (tip_or_remains(self.store, TaskRef(tenant, task.task_id)) for task in page.tasks)
        asking = [t for t in tips if t is not None and isinstance(t.next, Paused)]
        return asking, self._following(listing, page)

    def _of_session(
        self, session: Session, wanted: ListFilter, *, limit: int, before: str | None
    ) -> Page:
        """The index of all tasks does not know their sessions; a session knows its tasks, by number."""
        found: list[TaskSummary] = []
        number = None if before is None else int(before)
        for _ in range(_READS):
            page = self.store.session_tasks(session, limit=limit - len(found), before=number)
            found += filter(wanted.passes, page.tasks)
            number = page.before
            if number is None or len(found) == limit:
                break
        return Page(tuple(found), None if number is None else str(number))

    def _following(self, listing: Listing, page: Page) -> str | None:
        return None if page.after is None else self.cursors.write(listing, page.after)


def _filter(where: TaskQuery) -> ListFilter:
    return ListFilter(
        status=where.status,
        agent=where.agent,
        user_id=where.user_id,
        from_ms=None if where.created_after is None else milliseconds(where.created_after),
        until_ms=None if where.created_before is None else milliseconds(where.created_before),
    )
