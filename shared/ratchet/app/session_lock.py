"""The lock of a session: one task of it runs at a time, the others wait in the order in which they came.

The dispatcher takes it before it starts a task, the deliverer lets go of it when the task has ended and rings for who
is next. Both can be done twice. Whoever finds the lock with a task that has ended lets go of it in the deliverer's
place, and the sweeper makes everyone who waits look: so no lock is lost, whoever dies with it.
"""

from dataclasses import dataclass, replace

from ratchet.app.remains import tip_or_remains
from ratchet.app.session_turn import turn_of
from ratchet.contracts import limits
from ratchet.contracts.errors import DataMissing, StoreUnavailable
from ratchet.contracts.messages import Doorbell
from ratchet.contracts.names import OnConflict, Standing, TaskStatus
from ratchet.domain.session import Move, Session, Turn
from ratchet.domain.slots import look_again_at
from ratchet.domain.steps import End, Failure
from ratchet.domain.task import History, SessionPlace, announce_by, end_record
from ratchet.observability import logger
from ratchet.ports import ANY_ATTEMPT, Clock, Inbox
from ratchet.session_ports import SessionStore

MAX_RACES = 10
"""How often somebody else may change a session before a message comes back."""


@dataclass(frozen=True, slots=True)
class SessionLock:
    """Who of a session may run."""

    store: SessionStore
    clock: Clock

    def admit(self, tip: History) -> History | None:
        """The task of this queued one's session that holds the lock and may start: this one, or the first in line.

        None while another one runs. Who does not hold the lock is looked at again in a few minutes.

        Raises:
            StoreUnavailable: the message must come back.
        """
        asked: History | None = tip
        for _ in range(MAX_RACES):
            if asked is None or asked.task.session is None:
                return asked
            if asked.state.status is not TaskStatus.QUEUED:
                return None
            session = self.store.session(asked.task.ref.tenant, asked.task.session.session_id)
            if asked.task.ref.task_id == session.holder:
                return asked
            is_settled, found = self._look(session, asked)
            if is_settled:
                self._wait(asked, found)
                return found
            asked = tip_or_remains(self.store, tip.task.ref)
        raise StoreUnavailable("others kept changing the session")

    def leave(self, tip: History) -> Session | None:
        """Let go of a task that has ended: its turn is in the history, and the next may run. The session after that.

        None if the task belongs to none, or goes on.

        Raises:
            StoreUnavailable: it may still hold the lock; call it again.
        """
        now: History | None = tip
        for _ in range(MAX_RACES):
            if now is None or now.task.session is None or not isinstance(now.next, End):
                return None
            ref = now.task.ref
            session = self.store.session(ref.tenant, now.task.session.session_id)
            if now.state.standing is None:
                return session
            after = session.left(ref.task_id, self._turn(session, now), now_ms=self.clock.now_ms())
            if self.store.move_session(Move(session, after, now)):
                return after
            now = tip_or_remains(self.store, ref)
        raise StoreUnavailable("others kept changing the session")

    def settle(self, session: Session) -> Session:
        """The session without those who have ended and were not let go of yet."""
        for task_id in session.open:
            self._is_gone(session, task_id)
        return self.store.session(session.tenant, session.session_id)

    def _look(self, session: Session, asked: History) -> tuple[bool, History | None]:
        """Whether this look at the session has settled who may start, and who that is."""
        mine = asked.task.ref.task_id
        if mine not in session.open:
            self._rejoin(session, asked)
            return False, None
        if session.holder is not None:
            return not self._is_gone(session, session.holder), None
        first = session.first or mine
        next_ = asked if first == mine else tip_or_remains(self.store, session.ref(first))
        if next_ is None or isinstance(next_.next, End):
            self._is_gone(session, first)
            return False, None
        taken = self._take(session, next_)
        return taken is not None, taken

    def _wait(self, asked: History, found: History | None) -> None:
        if found is not None and found.task.ref == asked.task.ref:
            return
        now = self.clock.now_ms()
        soon = now + limits.SESSION_LOOK_SECONDS * 1000
        due = min(soon, look_again_at(asked, now_ms=now))
        self.store.stand_by(asked.task.ref, due_at_ms=due)

    def _take(self, session: Session, tip: History) -> History | None:
        """The first in line as the holder: what it is told of the session is pinned in it, once and for all."""
        now = self.clock.now_ms()
        task, mine = tip.task, tip.task.ref.task_id
        earlier, untrusted = session.said_before(mine), session.tells_untrusted(mine)
        told = replace(task, earlier=earlier, earlier_untrusted=untrusted)
        pinned = task if task.earlier is not None else told
        due = now + limits.RING_AGAIN_SECONDS * 1000
        after = session.taken(now_ms=now)
        changed = None if pinned is task else pinned
        move = Move(session, after, tip, Standing.HOLDS, pinned=changed, due_at_ms=due)
        if not self.store.move_session(move):
            return None
        logger.info("session taken", extra={"task_id": task.ref.task_id})
        return replace(tip, task=pinned, state=replace(tip.state, standing=Standing.HOLDS))

    def _rejoin(self, session: Session, tip: History) -> None:
        """A task that had ended and left goes on: after those that wait."""
        after = session.rejoined(tip.task.ref.task_id, now_ms=self.clock.now_ms())
        self.store.move_session(Move(session, after, tip, Standing.WAITS))

    def _is_gone(self, session: Session, task_id: str) -> bool:
        """Whether this task is in the session no more, or has to be looked at again: it has ended, or was ended."""
        tip = tip_or_remains(self.store, session.ref(task_id))
        if tip is None:
            after = session.left(task_id, None, now_ms=self.clock.now_ms())
            self.store.move_session(Move(session, after))
            return True
        if isinstance(tip.next, End):
            self.leave(tip)
            return True
        if task_id != session.holder or session.ending is None:
            return False
        # Whoever asked for it died, or is about to do the same.
        record = end_record(tip, interrupted(), now_ms=self.clock.now_ms())
        due = announce_by(record)
        self.store.commit(tip.task, record, due_at_ms=due, effects_of=ANY_ATTEMPT)
        return True

    def _turn(self, session: Session, tip: History) -> Turn | None:
        is_undone = session.ending is OnConflict.ROLLBACK and tip.task.ref.task_id == session.holder
        if is_undone or not isinstance(tip.next, End):
            return None
        if tip.next.status is TaskStatus.SUCCEEDED or not tip.records:
            return turn_of(tip)
        ref = tip.task.ref
        try:
            whole = self.store.load(ref)
            begun = self.store.begun_effects(ref, step=tip.records[-1].number)
        except DataMissing:
            return turn_of(tip)  # what can be read of it
        is_same = whole is not None and whole.records[-1] == tip.records[-1]
        return turn_of(whole if whole is not None and is_same else tip, begun)


def interrupted() -> End:
    """How a task ends in whose place another one of its session runs."""
    why = Failure("cancelled", "another task of its session took its place")
    return End(TaskStatus.CANCELLED, failure=why)


def place_in(session: Session) -> SessionPlace:
    """The place of the task that came last."""
    return SessionPlace(session.session_id, session.last_number)


@dataclass(frozen=True, slots=True)
class SessionReturn:
    """Part of the deliverer: gives the lock of an ended task back, and rings for who is next."""

    lock: SessionLock
    inbox: Inbox

    def __call__(self, tip: History) -> None:
        """Let go of the task; however often this runs, whoever is next has been rung for in the end.

        Raises:
            StoreUnavailable: the message must come back.
        """
        session = self.lock.leave(tip)
        if session is not None and session.holder is None and session.first is not None:
            self.inbox.send(Doorbell(session.ref(session.first)))
