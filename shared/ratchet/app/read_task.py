"""Read tasks: one with a long poll, its timeline, and lists."""

import base64
import binascii
from dataclasses import dataclass

from ratchet.app.remains import tip_or_remains
from ratchet.contracts.errors import InvalidRequest, TaskNotFound
from ratchet.contracts.limits import MAX_WAIT_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.domain.keys import is_task_id
from ratchet.domain.steps import End, Paused
from ratchet.domain.task import History
from ratchet.ports import CheckpointStore, Clock, ListFilter, Page

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class ReadTask:
    """The use cases of `GET /v1/tasks`, `/v1/tasks/{task_id}` and `/v1/tasks/{task_id}/steps`."""

    store: CheckpointStore
    clock: Clock

    def tip(self, ref: TaskRef, *, wait_seconds: float = 0) -> History:
        """The task with its last step; with `wait_seconds`, as soon as it has ended or asks something.

        Raises:
            TaskNotFound: this tenant has no such task.
        """
        deadline = self.clock.monotonic() + min(wait_seconds, MAX_WAIT_SECONDS)
        pause = _FIRST_PAUSE_SECONDS
        while True:
            tip = self._existing(ref)
            left = deadline - self.clock.monotonic()
            if isinstance(tip.next, End | Paused) or left <= 0:
                return tip
            self.clock.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)

    def timeline(self, ref: TaskRef) -> History:
        """The task with all its steps.

        Raises:
            TaskNotFound: this tenant has no such task.
        """
        history = self.store.load(ref) if is_task_id(ref.task_id) else None
        if history is None:
            raise _not_found(ref)
        return history

    def page(
        self, tenant: str, *, where: ListFilter, limit: int, cursor: str | None
    ) -> tuple[Page, str | None]:
        """A page of the tenant's tasks, newest first, and the cursor of the next one.

        Raises:
            InvalidRequest: the cursor is not one of ours.
        """
        after = None if cursor is None else _task_id_of(cursor)
        page = self.store.list_tasks(tenant, where=where, limit=limit, after=after)
        return page, None if page.after is None else _cursor_of(page.after)

    def interrupts(
        self, tenant: str, *, limit: int, cursor: str | None
    ) -> tuple[list[History], str | None]:
        """The tenant's tasks that wait for people, newest first, and the cursor of the next page.

        Raises:
            InvalidRequest: the cursor is not one of ours.
        """
        where = ListFilter(status=TaskStatus.INPUT_REQUIRED)
        page, following = self.page(tenant, where=where, limit=limit, cursor=cursor)
        tips = (tip_or_remains(self.store, TaskRef(tenant, task.task_id)) for task in page.tasks)
        return [t for t in tips if t is not None and isinstance(t.next, Paused)], following

    def _existing(self, ref: TaskRef) -> History:
        tip = tip_or_remains(self.store, ref) if is_task_id(ref.task_id) else None
        if tip is None:
            raise _not_found(ref)
        return tip


def _not_found(ref: TaskRef) -> TaskNotFound:
    return TaskNotFound(f"there is no task {ref.task_id[:64]!r}; GET /v1/tasks lists yours")


def _cursor_of(task_id: str) -> str:
    return base64.urlsafe_b64encode(task_id.encode()).decode().rstrip("=")


def _task_id_of(cursor: str) -> str:
    try:
        task_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        task_id = ""
    if not is_task_id(task_id):
        raise InvalidRequest("cursor: use next_cursor of the page before, unchanged")
    return task_id
