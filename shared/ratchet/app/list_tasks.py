"""List tasks, and what they ask people."""

from dataclasses import dataclass

from ratchet.app.cursors import Cursors, Listing
from ratchet.app.remains import tip_or_remains
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.domain.steps import Paused
from ratchet.domain.task import History
from ratchet.ports import CheckpointStore, ListFilter, Page


@dataclass(frozen=True, slots=True)
class ListTasks:
    """The use cases of `GET /v1/tasks` and `GET /v1/interrupts`."""

    store: CheckpointStore
    cursors: Cursors

    def page(
        self, tenant: str, *, where: ListFilter, limit: int, cursor: str | None
    ) -> tuple[Page, str | None]:
        """A page of the tenant's tasks, newest first, and the cursor of the next one.

        Raises:
            InvalidRequest: the cursor is not one of this list.
        """
        return self._page(_tasks(tenant, where), where, limit, cursor)

    def interrupts(
        self, tenant: str, *, limit: int, cursor: str | None
    ) -> tuple[list[History], str | None]:
        """The tenant's tasks that wait for people, newest first, and the cursor of the next page.

        Raises:
            InvalidRequest: the cursor is not one of this list.
        """
        where = ListFilter(status=TaskStatus.INPUT_REQUIRED)
        page, following = self._page(Listing(tenant, "interrupts"), where, limit, cursor)
        tips = (tip_or_remains(self.store, TaskRef(tenant, task.task_id)) for task in page.tasks)
        return [t for t in tips if t is not None and isinstance(t.next, Paused)], following

    def _page(
        self, listing: Listing, where: ListFilter, limit: int, cursor: str | None
    ) -> tuple[Page, str | None]:
        after = None if cursor is None else self.cursors.read(listing, cursor)
        page = self.store.list_tasks(listing.tenant, where=where, limit=limit, after=after)
        return page, None if page.after is None else self.cursors.write(listing, page.after)


def _tasks(tenant: str, where: ListFilter) -> Listing:
    filters = {"status": where.status, "agent": where.agent, "user_id": where.user_id}
    return Listing(tenant, "tasks", filters)
