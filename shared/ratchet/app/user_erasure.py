"""Delete what is kept of a user: memories, schedules, and the user's tasks with all that they said and did.

Usage stays counted. Answers that a cache keeps go when they expire.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ratchet.app.account_usage import AccountUsage
from ratchet.app.memories import MAX_RACES, Memories
from ratchet.app.session_lock import SessionLock
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import ERASED_AT_ONCE, MAX_PAGE_SIZE
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import MemoryScope
from ratchet.domain.memory import Namespace, Place
from ratchet.domain.session import Move, Session
from ratchet.domain.task import History
from ratchet.observability import logger
from ratchet.session_ports import SessionStore
from ratchet.task_list import ListFilter


@dataclass(frozen=True, slots=True)
class Erased:
    """What was deleted. `open_task_ids` have not ended, so they stay; not `is_complete`: there may be more."""

    memories: int
    task_ids: tuple[str, ...]
    items: int
    open_task_ids: tuple[str, ...]
    is_complete: bool
    schedules: int = 0


def _none(_tenant: str, _user_id: str) -> int:
    """Of a deployment without schedules."""
    return 0


@dataclass(frozen=True, slots=True)
class UserErasure:
    """The use case of `DELETE /v1/memory/user:{id}?tasks=true`. After a crash the same call goes on."""

    store: SessionStore
    memories: Memories
    delete_schedules: Callable[[str, str], int] = _none

    def __call__(self, tenant: str, user_id: str) -> Erased:
        """Delete the user's schedules, up to so many ended tasks, newest first, and all memories of the user.

        What the user had said in a session is not told to its later tasks any more. Those that were told it before, of
        other users who share the session, still hold it.
        """
        task_ids: list[str] = []
        open_ids: list[str] = []
        items, after = 0, None
        schedules = self.delete_schedules(tenant, user_id)  # before the tasks: no more come
        where = ListFilter(user_id=user_id)
        while len(task_ids) < ERASED_AT_ONCE:
            page = self.store.list_tasks(tenant, where=where, limit=MAX_PAGE_SIZE, after=after)
            for task in page.tasks[: ERASED_AT_ONCE - len(task_ids)]:
                erased = self._erase(TaskRef(tenant, task.task_id))
                if erased is None:
                    open_ids.append(task.task_id)
                elif erased:
                    task_ids.append(task.task_id)
                    items += erased
            after = page.after
            if after is None:
                break
        facts = self.memories.clear(Place(tenant, Namespace(MemoryScope.USER, user_id)))
        is_complete = after is None and len(task_ids) < ERASED_AT_ONCE
        logger.info("user erased", extra={"tasks": len(task_ids), "facts": facts})
        return Erased(
            facts, tuple(task_ids), items, tuple(open_ids), is_complete, schedules=schedules
        )

    def _erase(self, ref: TaskRef) -> int | None:
        """How many items of the task were deleted; none if it is gone, None if it has not ended."""
        found = self.store.load_remains(ref)
        if found is None:
            return self.store.erase_early(ref)  # gone, or half erased
        if not found.state.status.is_terminal:
            return None
        AccountUsage(self.store)(found)  # nobody may have come to count it yet
        above = self._erase_empty(self._silence(found), ref)
        erased = self.store.erase_early(ref)
        return erased + above if erased else None  # None: resumed meanwhile

    def _silence(self, tip: History) -> Session | None:
        """Take what the task has said out of its session; the session after that."""
        if tip.task.session is None:
            return None
        lock = SessionLock(self.store, self.memories.clock)
        if tip.state.standing is not None:
            lock.leave(tip)
        ref, session_id = tip.task.ref, tip.task.session.session_id
        for _ in range(MAX_RACES):
            session = self.store.session(ref.tenant, session_id)
            if not any(turn.task_id == ref.task_id for turn in session.turns):
                return session
            after = session.left(ref.task_id, None, now_ms=self.memories.clock.now_ms())
            if self.store.move_session(Move(session, after)):
                return after
        raise StoreUnavailable("others kept changing the session")

    def _erase_empty(self, session: Session | None, ref: TaskRef) -> int:
        """Delete a session that has no other task; before this one, as nothing else leads to it."""
        if session is None or not session.version or session.open or session.turns:
            return 0
        tasks = self.store.session_tasks(session, limit=2).tasks
        if any(task.task_id != ref.task_id for task in tasks):
            return 0
        return 1 if self.store.erase_session(session) else 0
