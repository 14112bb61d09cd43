"""Slots and lines in memory: what DynamoDB answers, for tests and examples."""

import threading
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.domain import keys
from ratchet.domain.admission import Candidate, Limit
from ratchet.domain.slots import SHARDS, Board, Counts, Place, Seat, Seating
from ratchet.testing.store_rows import Head, Partition, is_settled


class InMemorySlots:
    """The SlotStore. Part of the CheckpointStore in memory, whose lock and heads it shares."""

    _lock: threading.Lock
    _partitions: defaultdict[str, Partition]

    def __init__(self) -> None:
        self._in_shards: Counter[int] = Counter()
        self._of_tenants: Counter[str] = Counter()
        self._lines: defaultdict[str, list[str]] = defaultdict(list)
        self._limit = Board()
        self._noted: dict[str, int] = {}
        self._throttled: Counter[int] = Counter()

    def board(self) -> Board:
        """The limit, and who was seen to wait."""
        with self._lock:
            return replace(self._limit, waiting=dict(self._noted))

    def counts(self, tenants: Sequence[str]) -> Counts:
        """How many tasks hold slots, also of these tenants."""
        with self._lock:
            shards = [self._in_shards[shard] for shard in range(SHARDS)]
            return Counts(shards, {tenant: self._of_tenants[tenant] for tenant in tenants})

    def first_waiting(self, tenant: str, *, limit: int) -> Sequence[Candidate]:
        """The first of a tenant's line."""
        with self._lock:
            return [keys.candidate_of(tenant, rank) for rank in self._lines[tenant][:limit]]

    def seat(self, ref: TaskRef, seat: Seat) -> Seating:
        """Take a slot for a queued task and take it out of the line, below both caps."""
        with self._lock:
            head = self._partitions[keys.task_key(ref)].head
            if head is None or head.state.status is not TaskStatus.QUEUED:
                return Seating.NOT_WAITING
            if head.state.slot is not None:
                return Seating.SEATED
            counters = (self._of_tenants[ref.tenant], self._in_shards[seat.shard])
            caps = (seat.tenant_cap, seat.shard_cap)
            if any(n and n >= cap for n, cap in zip(counters, caps, strict=True)):
                return Seating.FULL
            self._of_tenants[ref.tenant] += 1
            self._in_shards[seat.shard] += 1
            head.state = replace(head.state, slot=seat.shard)
            head.due_at_ms = seat.due_at_ms
            self._leave_line(head)
            return Seating.SEATED

    def park(self, place: Place) -> bool:
        """Put a queued task into its tenant's line, or renew its place; False if it does not wait any more."""
        ref = TaskRef(place.candidate.tenant, place.candidate.task_id)
        with self._lock:
            head = self._partitions[keys.task_key(ref)].head
            if head is None or head.state.status is not TaskStatus.QUEUED:
                return False
            if head.state.slot is not None:
                return False
            self._leave_line(head)
            head.state = replace(head.state, waiting_for=place.waiting_for)
            head.due_at_ms = place.due_at_ms
            head.wait_rank = keys.wait_rank(place.candidate)
            insort(self._lines[ref.tenant], head.wait_rank)
            return True

    def note_waiting(self, tenant: str, *, at_ms: int) -> None:
        """Note that the tenant's line is not empty."""
        with self._lock:
            self._noted[tenant] = max(at_ms, self._noted.get(tenant, at_ms))

    def unseat(self, ref: TaskRef, *, shard: int) -> bool:
        """Give back the slot of an ended or paused task, once; False if it holds none, or goes on."""
        with self._lock:
            head = self._partitions[keys.task_key(ref)].head
            if head is None or head.state.slot != shard or not is_settled(head.state):
                return False
            self._unseat(head)
            return True

    def note_throttled(self, shard: int) -> None:
        """Count a 429 of a model provider."""
        with self._lock:
            self._throttled[shard] += 1

    def throttled(self) -> int:
        """How many 429s have been counted."""
        with self._lock:
            return self._throttled.total()

    def move_limit(self, before: Board, after: Limit, *, at_ms: int, throttled: int) -> bool:
        """Store the limit unless somebody has since the board was read."""
        with self._lock:
            known = self._limit
            if known.limit is not None and known.adjusted_at_ms != before.adjusted_at_ms:
                return False
            self._limit = Board(after, at_ms, throttled)
            return True

    def _unseat(self, head: Head) -> None:
        slot = head.state.slot
        if slot is not None:
            self._of_tenants[head.ref.tenant] -= 1
            self._in_shards[slot] -= 1
            head.state = replace(head.state, slot=None)

    def _leave_line(self, head: Head) -> None:
        if head.wait_rank is None:
            return
        line = self._lines[head.ref.tenant]
        del line[bisect_left(line, head.wait_rank)]
        head.wait_rank = None
        head.state = replace(head.state, waiting_for=None)
