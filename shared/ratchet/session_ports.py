"""What sessions need from the world, beside `ratchet.ports`; the stores of both worlds provide it."""

from dataclasses import dataclass
from typing import Protocol

from ratchet.contracts.messages import TaskRef
from ratchet.domain.session import Move, Session
from ratchet.domain.task import Task
from ratchet.ports import CheckpointStore, Created, IdempotencyClaim
from ratchet.task_list import TaskSummary


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Some tasks of a session, newest first; `before` is the number to go on from, None at the end."""

    tasks: tuple[TaskSummary, ...]
    before: int | None


@dataclass(frozen=True, slots=True)
class SessionList:
    """Some sessions, in the order of their ids; `after` is the id to go on from, None at the end."""

    sessions: tuple[Session, ...]
    after: str | None


class SessionStore(CheckpointStore, Protocol):
    """Sessions beside their tasks. Every method may raise StoreUnavailable; reads are strongly consistent."""

    def session(self, tenant: str, session_id: str) -> Session:
        """The session: one read request. One that is not stored, or over, has version 0."""
        ...

    def create_in_session(
        self, task: Task, *, claim: IdempotencyClaim | None, due_at_ms: int, move: Move
    ) -> Created:
        """As `create_task`, and the session with it, all or nothing.

        Raises:
            SessionMoved: the session is not `move.before` any more; nothing was written.
        """
        ...

    def created_by(self, tenant: str, claim: IdempotencyClaim) -> Created | None:
        """What the caller's key has created before."""
        ...

    def move_session(self, move: Move) -> bool:
        """Change the session and the standing of a task together; False if either is not as it was read."""
        ...

    def stand_by(self, ref: TaskRef, *, due_at_ms: int) -> None:
        """Note that a queued task waits for its session, and is due then; nothing once it holds the lock."""
        ...

    def list_sessions(self, tenant: str, *, limit: int, after: str | None = None) -> SessionList:
        """The tenant's sessions (which there are: eventually consistent); those that are over are left out."""
        ...

    def session_tasks(
        self, session: Session, *, limit: int, before: int | None = None
    ) -> SessionPage:
        """The tasks of a session that came before number `before`, newest first; erased ones are left out.

        Those that a crash has left half erased are not.
        """
        ...

    def erase_early(self, ref: TaskRef) -> int:
        """Delete an ended task before its retention is over, as `erase` does; 0 if it has not ended, or is gone.

        From its beginning on no reader sees the task; what a crash leaves of it is due for the sweeper in a minute.
        """
        ...

    def erase_session(self, session: Session) -> bool:
        """Delete a session that nobody is in, and its places; False if it has changed since it was read."""
        ...
