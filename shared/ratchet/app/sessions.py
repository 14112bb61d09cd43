"""Read a session, and delete one with all that its tasks said and did."""

from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.app.account_usage import AccountUsage
from ratchet.app.cursors import Cursors, Listing
from ratchet.app.session_lock import SessionLock
from ratchet.contracts.limits import MAX_PAGE_SIZE
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.request_errors import SessionBusy, SessionNotFound
from ratchet.domain.keys import is_session_id
from ratchet.domain.session import Move, Session
from ratchet.observability import logger
from ratchet.ports import Clock
from ratchet.session_ports import SessionPage, SessionStore


@dataclass(frozen=True, slots=True)
class Deleted:
    """What deleting a session took away."""

    session_id: str
    task_ids: tuple[str, ...]
    items: int


@dataclass(frozen=True, slots=True)
class Sessions:
    """The use cases of `/v1/sessions/{session_id}`."""

    store: SessionStore
    clock: Clock
    cursors: Cursors

    def read(
        self, tenant: str, session_id: str, *, limit: int, cursor: str | None
    ) -> tuple[Session, SessionPage, str | None]:
        """The session, a page of its tasks, newest first, and the cursor of the next page.

        Raises:
            SessionNotFound: this tenant has no such session.
            InvalidRequest: the cursor is not one of this list.
        """
        session = self._existing(tenant, session_id)
        listing = Listing(tenant, "tasks of a session", {"session_id": session_id})
        before = None if cursor is None else int(self.cursors.read(listing, cursor))
        page = self.store.session_tasks(session, limit=limit, before=before)
        following = page.before
        return (
            session,
            page,
            None if following is None else self.cursors.write(listing, str(following)),
        )

    def list(
        self, tenant: str, *, limit: int, cursor: str | None
    ) -> tuple[Sequence[Session], str | None]:
        """The sessions that are not over, in the order of their ids, and the cursor of the next page.

        Raises:
            InvalidRequest: the cursor is not one of this list.
        """
        listing = Listing(tenant, "sessions")
        after = None if cursor is None else self.cursors.read(listing, cursor)
        page = self.store.list_sessions(tenant, limit=limit, after=after)
        following = None if page.after is None else self.cursors.write(listing, page.after)
        return page.sessions, following

    def delete(self, tenant: str, session_id: str) -> Deleted:
        """Delete the session's tasks, their bodies and the history. What has not been announced will not be.

        Usage stays counted. After a crash, or when a task comes meanwhile, the same call goes on.

        Raises:
            SessionNotFound: this tenant has no such session.
            SessionBusy: a task of it has not ended, or has come meanwhile; what was deleted stays deleted.
        """
        session = self._existing(tenant, session_id)
        if session.open:
            session = SessionLock(self.store, self.clock).settle(session)
        _check_free(session)
        silent = session.silenced(now_ms=self.clock.now_ms())
        if not self.store.move_session(Move(session, silent)):
            raise _changed(self.store.session(tenant, session_id))
        task_ids, items = self._erase_tasks(silent)
        if not self.store.erase_session(silent):
            raise _changed(self.store.session(tenant, session_id))
        logger.info("session deleted", extra={"tasks": len(task_ids), "items": items})
        return Deleted(session_id, task_ids, items + 1)

    def _erase_tasks(self, session: Session) -> tuple[tuple[str, ...], int]:
        task_ids: list[str] = []
        items, before = 0, session.last_number + 1
        while True:
            page = self.store.session_tasks(session, limit=MAX_PAGE_SIZE, before=before)
            for task in page.tasks:
                ref = TaskRef(session.tenant, task.task_id)
                self._count(ref)
                erased = self.store.erase_early(ref)
                if not erased and self.store.load_remains(ref) is not None:
                    raise SessionBusy(f"{task.task_id} was resumed; wait for its end", task.task_id)
                task_ids.append(task.task_id)
                items += erased
            if page.before is None:
                return tuple(task_ids), items
            before = page.before

    def _count(self, ref: TaskRef) -> None:
        """What the task has used stays counted, also when nobody has come to count it yet."""
        tip = self.store.load_remains(ref)
        if tip is not None:
            AccountUsage(self.store)(tip)

    def _existing(self, tenant: str, session_id: str) -> Session:
        if is_session_id(session_id):
            session = self.store.session(tenant, session_id)
            if session.version and not session.is_over(now_ms=self.clock.now_ms()):
                return session
        raise SessionNotFound(f"there is no session {session_id[:64]!r}")


def _check_free(session: Session) -> None:
    if session.open:
        busy = session.open[0]
        raise SessionBusy(
            f"{busy} has not ended; wait for it, or POST /v1/tasks/{busy}/cancel first", busy
        )


def _changed(session: Session) -> SessionBusy:
    _check_free(session)
    return SessionBusy("the session has changed meanwhile; send the same request again", "")
