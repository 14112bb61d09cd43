"""Sessions in memory: what DynamoDB answers, for tests and examples."""

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from ratchet.contracts.errors import SessionMoved
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Standing, TaskStatus, WaitingFor
from ratchet.domain import codec, keys
from ratchet.domain.session import Move, Session
from ratchet.domain.session_codec import decode_session, encode_session
from ratchet.domain.task import SessionPlace, Task
from ratchet.ports import Clock, Created, IdempotencyClaim
from ratchet.session_ports import SessionList, SessionPage
from ratchet.testing.store_rows import Head, InMemoryPayloads, Partition


class InMemorySessions:
    """The SessionStore. Part of the CheckpointStore in memory, whose lock and heads it shares."""

    _lock: threading.Lock
    _partitions: defaultdict[str, Partition]
    _clock: Clock
    payloads: InMemoryPayloads

    def __init__(self) -> None:
        self._sessions: dict[str, tuple[int, bytes]] = {}
        self._places: defaultdict[str, dict[int, TaskRef]] = defaultdict(dict)

    def session(self, tenant: str, session_id: str) -> Session:
        """The session. One that is not stored has version 0, one that is over is empty."""
        with self._lock:
            found = self._sessions.get(keys.session_key(tenant, session_id))
        if found is None:
            return Session(tenant, session_id)
        version, body = found
        stored = decode_session(body, tenant=tenant, session_id=session_id, version=version)
        return stored.at(now_ms=self._clock.now_ms())

    def create_in_session(
        self, task: Task, *, claim: IdempotencyClaim | None, due_at_ms: int, move: Move
    ) -> Created:
        """Write a queued task (and the claim) with its place in the session, atomically."""

        def join() -> None:
            if not self._put(move) or task.session is None:
                raise SessionMoved("somebody else has changed the session; read it again")
            place = task.session
            partition = keys.session_key(task.ref.tenant, place.session_id)
            self._places[partition][place.number] = task.ref

        return self._create(task, claim, due_at_ms=due_at_ms, join=join)

    def created_by(self, tenant: str, claim: IdempotencyClaim) -> Created | None:
        """What the caller's key has created before."""
        with self._lock:
            claimed = self._claimed(tenant, claim)
            head = self._partitions[keys.task_key(claimed[0])].head if claimed else None
            if claimed is None or head is None or head.is_erasing:
                return None
            return Created(self.payloads.read_task(head), head.state, True, claimed[1].body_sha256)

    def move_session(self, move: Move) -> bool:
        """Change the session and the standing of a task together; False if either is not as it was read."""
        pinned, tip = move.pinned, move.tip
        body = (
            None if pinned is None else self.payloads.write(pinned.ref, codec.encode_task(pinned))
        )
        with self._lock:
            head = None if tip is None else self._partitions[keys.task_key(tip.task.ref)].head
            if tip is not None:
                seen = (tip.state.status, tip.state.updated_at_ms, tip.state.standing)
                if head is None or _standing(head) != seen:
                    return False
            if not self._put(move):
                return False
            if head is not None:
                waiting_for = head.state.waiting_for if move.standing is None else None
                head.state = replace(head.state, standing=move.standing, waiting_for=waiting_for)
                head.body = body or head.body
                head.due_at_ms = head.due_at_ms if move.due_at_ms is None else move.due_at_ms
            return True

    def stand_by(self, ref: TaskRef, *, due_at_ms: int) -> None:
        """Note that a queued task waits for its session; nothing once it holds the lock."""
        with self._lock:
            head = self._partitions[keys.task_key(ref)].head
            if head is None or head.state.status is not TaskStatus.QUEUED:
                return
            if head.state.standing is Standing.WAITS:
                head.state = replace(head.state, waiting_for=WaitingFor.SESSION)
                head.due_at_ms = due_at_ms

    def list_sessions(self, tenant: str, *, limit: int, after: str | None = None) -> SessionList:
        """The tenant's sessions, in the order of their ids; those that are over are left out."""
        prefix = keys.session_key(tenant, "x")[:-1]
        with self._lock:
            ids = sorted(
                key.removeprefix(prefix) for key in self._sessions if key.startswith(prefix)
            )
        later = [session_id for session_id in ids if session_id > (after or "")]
        page = later[:limit]
        now_ms = self._clock.now_ms()
        found = [self.session(tenant, session_id) for session_id in page]
        living = tuple(s for s in found if s.version and not s.is_over(now_ms=now_ms))
        return SessionList(living, page[-1] if len(later) > limit else None)

    def session_tasks(
        self, session: Session, *, limit: int, before: int | None = None
    ) -> SessionPage:
        """The tasks of a session that came before number `before`, newest first."""
        with self._lock:
            last = session.last_number if before is None else before - 1
            places = self._places[keys.session_key(session.tenant, session.session_id)]
            numbers = sorted((n for n in places if n <= last), reverse=True)
            heads = [
                self._listed(self._partitions[keys.task_key(places[n])]) for n in numbers[:limit]
            ]
        following = numbers[limit - 1] if len(numbers) > limit else None
        return SessionPage(tuple(h.summary() for h in heads if h is not None), following)

    def erase_early(self, ref: TaskRef) -> int:
        """Delete an ended task before its retention is over; 0 if it has not ended, or is gone."""
        with self._lock:
            partition = self._partitions[keys.task_key(ref)]
            head = partition.head
            if head is None or head.is_tombstone or not head.state.status.is_terminal:
                return 0
            return self._bury(ref, partition)

    def erase_session(self, session: Session) -> bool:
        """Delete a session that nobody is in, and its places; False if it has changed since it was read."""
        key = keys.session_key(session.tenant, session.session_id)
        with self._lock:
            places = self._places[key]
            for number in [n for n in places if n <= session.last_number]:
                del places[number]
            version, _ = self._sessions.get(key, (session.version, b""))
            if version == session.version:
                self._sessions.pop(key, None)
            return version == session.version

    def _put(self, move: Move) -> bool:
        key = keys.session_key(move.after.tenant, move.after.session_id)
        version, _ = self._sessions.get(key, (0, b""))
        if version != move.before.version:
            return False
        self._sessions[key] = move.after.version, encode_session(move.after)
        return True

    def _leave_place(self, tenant: str, place: SessionPlace) -> int:
        places = self._places[keys.session_key(tenant, place.session_id)]
        places.pop(place.number, None)
        return 1

    def _create(
        self,
        task: Task,
        claim: IdempotencyClaim | None,
        *,
        due_at_ms: int,
        join: Callable[[], None],
    ) -> Created:
        raise NotImplementedError

    def _claimed(
        self, tenant: str, claim: IdempotencyClaim | None
    ) -> tuple[TaskRef, IdempotencyClaim] | None:
        raise NotImplementedError

    def _listed(self, partition: Partition) -> Head | None:
        raise NotImplementedError

    def _bury(self, ref: TaskRef, partition: Partition) -> int:
        raise NotImplementedError


def _standing(head: Head) -> tuple[TaskStatus, int, Standing | None]:
    return head.state.status, head.state.updated_at_ms, head.state.standing
