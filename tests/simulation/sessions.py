"""Sessions in the simulation: their calls through the network, and what must hold of them."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ratchet.contracts.limits import TOMBSTONE_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import OnConflict, Standing, TaskStatus
from ratchet.contracts.request_errors import SessionBusy
from ratchet.domain import codec
from ratchet.domain.session import Move, Session
from ratchet.domain.task import Task
from ratchet.ports import Created, IdempotencyClaim
from ratchet.session_ports import SessionList, SessionPage
from ratchet.testing.store import InMemoryCheckpoints
from ratchet.testing.store_rows import Head
from tests.simulation.bodies import Bucket
from tests.simulation.calls import Network
from tests.simulation.story import Submit

T = TypeVar("T")
UNDER_WAY = (TaskStatus.RUNNING, TaskStatus.WAITING, TaskStatus.INPUT_REQUIRED)


@dataclass(slots=True)
class Books:
    """What was seen of a session: who came, in order, who has not started, and who must leave no trace."""

    waiting: list[tuple[str, bool]] = field(default_factory=list)  # and whether it interrupts
    undone: set[str] = field(default_factory=set)


class Sittings:
    """Keeps its own books of who came and who may run, and compares them with the table after every write."""

    def __init__(self, twin: InMemoryCheckpoints, violate: Callable[[str], None]) -> None:
        self._twin = twin
        self._violate = violate
        self._books: defaultdict[tuple[str, str], Books] = defaultdict(Books)
        self._asked: defaultdict[tuple[str, str], set[str | None]] = defaultdict(set)
        self.erasing: set[str] = set()  # tenants whose sessions and tasks go piece by piece

    def asked(self, act: Submit, goal: str) -> None:
        """Somebody is about to submit this."""
        self._asked[act.tenant, goal].add(act.on_conflict)

    def policy(self, task: Task, move: Move) -> OnConflict:
        """What was asked for; where several asked for the same goal, what our code made of it."""
        asked = self._asked[task.ref.tenant, task.goal]
        return OnConflict(next(iter(asked)) or "enqueue") if len(asked) == 1 else _policy(move)

    def joined(self, task: Task, before: Session, policy: OnConflict | None) -> None:
        """A task was submitted."""
        books = self._books[before.tenant, before.session_id]
        is_urgent = policy in (OnConflict.INTERRUPT, OnConflict.ROLLBACK)
        books.waiting.append((task.ref.task_id, is_urgent))
        if policy is OnConflict.ROLLBACK and before.holder is not None:
            books.undone.add(before.holder)
        if policy is OnConflict.REJECT and before.open:
            self._violate(f"I16: {task.ref.task_id} joined beside {before.open}")

    def moved(self, move: Move) -> None:
        """A session was changed after it was made."""
        books = self._books[move.after.tenant, move.after.session_id]
        if move.tip is None:
            return
        task_id = move.tip.task.ref.task_id
        if move.standing is Standing.WAITS:
            books.waiting.append((task_id, False))
            books.undone.discard(task_id)
        elif move.standing is Standing.HOLDS:
            self._started(books, task_id)
        else:
            books.waiting = [w for w in books.waiting if w[0] != task_id]

    def _started(self, books: Books, task_id: str) -> None:
        at = next((i for i, w in enumerate(books.waiting) if w[0] == task_id), None)
        if at is None:
            self._violate(f"I16: {task_id} took a session that it does not wait for")
            return
        _, is_urgent = books.waiting.pop(at)
        first = [w for i, w in enumerate(books.waiting) if w[1] and (not is_urgent or i < at)]
        before = [w for w in books.waiting[:at] if not w[1] and not is_urgent]
        for other, _ in (*first, *before):
            self._violate(f"I16: {task_id} started before {other}")

    def look(self) -> None:
        """One task of a session runs at most, it holds the lock, and marks and sessions say the same."""
        if not self._books:
            return
        held: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for head in self._heads():
            place = head.session
            if place is None:
                continue
            state, where = head.state, (head.ref.tenant, place.session_id)
            if state.standing is not None:
                held[where].add(f"{head.ref.task_id} {state.standing}")
            if state.status in UNDER_WAY and state.standing is not Standing.HOLDS:
                self._violate(f"I16: {head.ref.task_id} runs without its session's lock")
        for where in self._books:
            if where[0] not in self.erasing:
                self._look_at(where, held[where])

    def _look_at(self, where: tuple[str, str], held: set[str]) -> None:
        session = self._twin.session(*where)
        said = {f"{waiter.task_id} {Standing.WAITS}" for waiter in session.line}
        if session.holder is not None:
            said.add(f"{session.holder} {Standing.HOLDS}")
        if said != held:
            self._violate(f"I16: session {where} has {said}, and the tasks say {held}")
        undone = self._books[where].undone & {turn.task_id for turn in session.turns}
        if undone:
            self._violate(f"I16: {undone} were rolled back and stay in the history")

    def refused(self, act: Submit, error: SessionBusy) -> None:
        """Somebody was told that the session is busy."""
        ref = TaskRef(act.tenant, error.task_id)
        if act.on_conflict != OnConflict.REJECT or not any(h.ref == ref for h in self._heads()):
            self._violate(f"I16: {act} was refused for {error.task_id}")

    def judge(self) -> None:
        """At the end nobody is in a session any more."""
        for where in self._books:
            session = self._twin.session(*where)
            if session.open:
                self._violate(f"I16: {session.open} never left session {where}")

    def _heads(self) -> list[Head]:
        return [p.head for p in self._twin._partitions.values() if p.head is not None]


class SessionCalls:
    """The SessionStore. Part of the CheckpointStore of the simulation."""

    twin: InMemoryCheckpoints
    bucket: Bucket
    sittings: Sittings
    _network: Network

    def _read(self, name: str, ref: TaskRef | None, effect: Callable[[], T]) -> T:
        raise NotImplementedError

    def _write(self, name: str, ref: TaskRef, effect: Callable[[], T]) -> T:
        raise NotImplementedError

    def session(self, tenant: str, session_id: str) -> Session:
        session = self._read("session", None, lambda: self.twin.session(tenant, session_id))
        life = self._network.life()
        if isinstance(life.subject, frozenset):  # it may go on with whoever is in it
            life.subject |= {session.ref(task_id) for task_id in session.open}
        return session

    def create_in_session(
        self, task: Task, *, claim: IdempotencyClaim | None, due_at_ms: int, move: Move
    ) -> Created:
        def effect() -> Created:
            known = task.ref in {h.ref for h in self.sittings._heads()}
            created = self.twin.create_in_session(task, claim=claim, due_at_ms=due_at_ms, move=move)
            if not created.is_replay and not known:
                policy = self.sittings.policy(task, move)
                self.sittings.joined(task, move.before, policy)
            return created

        self.bucket.put(task.ref, codec.encode_task(task))
        return self._write("create_in_session", task.ref, effect)

    def created_by(self, tenant: str, claim: IdempotencyClaim) -> Created | None:
        return self._read("created_by", None, lambda: self.twin.created_by(tenant, claim))

    def move_session(self, move: Move) -> bool:
        def effect() -> bool:
            is_moved = self.twin.move_session(move)
            if is_moved:
                self.sittings.moved(move)
            return is_moved

        if move.tip is None:
            return self._read("move_session", None, effect)
        if move.pinned is not None:
            self.bucket.put(move.pinned.ref, codec.encode_task(move.pinned))
        return self._write("move_session", move.tip.task.ref, effect)

    def stand_by(self, ref: TaskRef, *, due_at_ms: int) -> None:
        self._write("stand_by", ref, lambda: self.twin.stand_by(ref, due_at_ms=due_at_ms))

    def list_sessions(self, tenant: str, *, limit: int, after: str | None = None) -> SessionList:
        raise NotImplementedError("no use case of the simulation lists sessions")

    def session_tasks(
        self, session: Session, *, limit: int, before: int | None = None
    ) -> SessionPage:
        def query() -> SessionPage:
            return self.twin.session_tasks(session, limit=limit, before=before)

        return self._read("session_tasks", None, query)

    def erase_early(self, ref: TaskRef) -> int:
        """In the steps in which it is done on AWS: what is written meanwhile stays."""
        if not self._write("begin_erasing", ref, lambda: self._begin_erasing(ref)):
            return 0
        self.bucket.clear_of(ref)
        below = self._write("erase_below", ref, lambda: self._erase_below(ref))
        return below + self._write("erase_head", ref, lambda: self._erase_head(ref))

    def _begin_erasing(self, ref: TaskRef) -> bool:
        head = self.twin.partition(ref).head
        if head is None or head.is_tombstone or not head.state.status.is_terminal:
            return False
        self.twin._begin_erasing(head)
        return True

    def _erase_below(self, ref: TaskRef) -> int:
        partition = self.twin.partition(ref)
        head, partition.head = partition.head, None
        erased, partition.head = partition.bury(0), head
        return erased

    def _erase_head(self, ref: TaskRef) -> int:
        partition = self.twin.partition(ref)
        head = partition.head
        if head is None:
            return 0
        above = 0 if head.session is None else self.twin._leave_place(ref.tenant, head.session)
        partition.head = head.tombstone(self.twin._clock.now_ms() + TOMBSTONE_SECONDS * 1000)
        return above + 1

    def erase_session(self, session: Session) -> bool:
        return self._read("erase_session", None, lambda: self.twin.erase_session(session))


def _policy(move: Move) -> OnConflict:
    """What the newcomer asked for, as far as it made a difference."""
    mine = {w.task_id for w in move.after.line} - {w.task_id for w in move.before.line}
    is_urgent = any(w.is_urgent for w in move.after.line if w.task_id in mine)
    if not is_urgent:
        return OnConflict.ENQUEUE
    return move.after.ending or OnConflict.INTERRUPT
