"""Slots of running tasks in the simulation: their calls through the network, and what must hold of them."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from ratchet.app.suspensions import nobody
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.domain.admission import Candidate, Limit, LimitRules
from ratchet.domain.slots import AdmissionRules, Board, Counts, Place, Seat, Seating
from ratchet.testing.store import InMemoryCheckpoints
from ratchet.testing.store_rows import Head
from tests.simulation.calls import Network
from tests.simulation.story import Story

T = TypeVar("T")

MAX_IDLE_MS = 180_000
"""The sweeper rings every minute, and a message that was not handled is back after three."""
UNDER_WAY = (TaskStatus.RUNNING, TaskStatus.WAITING)


def rules_of(story: Story) -> AdmissionRules:
    """The limits of the story's deployment."""
    most = story.max_running
    return AdmissionRules(
        tenant_limit=story.tenant_running or None,
        deployment=LimitRules(story.min_running or most, most) if most else None,
    )


class Seats:
    """Compares counters, marks and limits with each other after every write, and at the end.

    `last_trouble_ms` is until when something kept functions from running.
    """

    def __init__(
        self,
        twin: InMemoryCheckpoints,
        rules: AdmissionRules,
        *,
        now_ms: Callable[[], int],
        last_trouble_ms: Callable[[], int],
        violate: Callable[[str], None],
    ) -> None:
        self.rules = rules
        self._twin = twin
        self._now_ms, self._last_trouble_ms = now_ms, last_trouble_ms
        self._violate = violate
        self._free_since_ms: int | None = None
        self.stands_still: Callable[[str], bool] = nobody
        self.erasing: set[str] = set()  # their own counters go as they are; the deployment's do not

    def look(self) -> None:
        """No limit is passed at any time, and the counters are the marks."""
        if not self.rules.is_on:
            return
        marks, shards = self._marks()
        counted = Counter({t: n for t, n in self._twin._of_tenants.items() if n})
        if any(marks[t] != counted[t] for t in {*marks, *counted} - self.erasing):
            self._violate(f"I14: of tenants {dict(marks)} are marked, and others are counted")
        if dict(shards) != {k: n for k, n in self._twin._in_shards.items() if n}:
            self._violate(f"I14: in shards {dict(shards)} are marked, and others are counted")
        self._look_at_limits(marks)
        self._look_at_lines(marks)

    def _look_at_limits(self, marks: Counter[str]) -> None:
        rules = self.rules
        for tenant, running in marks.items():
            if rules.tenant_limit is not None and running > rules.tenant_limit:
                self._violate(f"I14: {running} tasks of {tenant} run, {rules.tenant_limit} may")
        if rules.deployment is not None and marks.total() > rules.deployment.maximum:
            self._violate(f"I14: {marks.total()} tasks run, {rules.deployment.maximum} may")
        for head in self._heads():
            if head.state.status in UNDER_WAY and head.state.slot is None:
                self._violate(f"I14: {head.ref.task_id} runs without a slot")

    def _look_at_lines(self, marks: Counter[str]) -> None:
        """Nobody waits for long while there is a slot for them."""
        now, since = self._now_ms(), self._free_since_ms
        if since is not None:
            waited_ms = now - max(since, self._last_trouble_ms())
            if waited_ms > MAX_IDLE_MS:
                self._violate(f"I15: tasks waited for {waited_ms / 1000:.0f} s beside a free slot")
        is_free = any(line and self._has_room(t, marks) for t, line in self._twin._lines.items())
        self._free_since_ms = (now if since is None else since) if is_free else None

    def _has_room(self, tenant: str, marks: Counter[str]) -> bool:
        if self.stands_still(tenant):
            return False
        own, most = self.rules.tenant_limit, self.rules.deployment
        if own is not None and marks[tenant] >= own:
            return False
        return most is None or marks.total() < most.minimum

    def judge(self) -> None:
        """At the end nothing is held, and nobody waits."""
        self.look()
        held, _ = self._marks()
        if held:
            self._violate(f"I14: slots were never given back: {dict(held)}")
        if self.is_waited():
            self._violate(f"I14: somebody still stands in line: {dict(self._twin._lines)}")

    def is_waited(self) -> bool:
        """Whether tasks stand in line."""
        return any(self._twin._lines.values())

    def _heads(self) -> Iterable[Head]:
        return [p.head for p in self._twin._partitions.values() if p.head is not None]

    def _marks(self) -> tuple[Counter[str], Counter[int]]:
        marked = [h for h in self._heads() if h.state.slot is not None]
        shards = [h.state.slot for h in marked if h.state.slot is not None]
        return Counter(h.ref.tenant for h in marked), Counter(shards)


class SlotCalls:
    """The SlotStore. Part of the CheckpointStore of the simulation."""

    twin: InMemoryCheckpoints
    seats: Seats
    _network: Network

    def _read(self, name: str, ref: TaskRef | None, effect: Callable[[], T]) -> T:
        raise NotImplementedError

    def _write(self, name: str, ref: TaskRef, effect: Callable[[], T]) -> T:
        raise NotImplementedError

    def board(self) -> Board:
        return self._read("board", None, self.twin.board)

    def counts(self, tenants: Sequence[str]) -> Counts:
        return self._read("counts", None, lambda: self.twin.counts(tenants))

    def first_waiting(self, tenant: str, *, limit: int) -> Sequence[Candidate]:
        def query() -> Sequence[Candidate]:
            return self.twin.first_waiting(tenant, limit=limit)

        found = self._read("first_waiting", None, query)
        life = self._network.life()
        if isinstance(life.subject, frozenset):  # it may go on with whoever stands in line
            life.subject |= {TaskRef(tenant, candidate.task_id) for candidate in found}
        return found

    def seat(self, ref: TaskRef, seat: Seat) -> Seating:
        return self._write("seat", ref, lambda: self.twin.seat(ref, seat))

    def park(self, place: Place) -> bool:
        ref = TaskRef(place.candidate.tenant, place.candidate.task_id)
        return self._write("park", ref, lambda: self.twin.park(place))

    def note_waiting(self, tenant: str, *, at_ms: int) -> None:
        self._read("note_waiting", None, lambda: self.twin.note_waiting(tenant, at_ms=at_ms))

    def unseat(self, ref: TaskRef, *, shard: int) -> bool:
        return self._write("unseat", ref, lambda: self.twin.unseat(ref, shard=shard))

    def note_throttled(self, shard: int) -> None:
        self._read("note_throttled", None, lambda: self.twin.note_throttled(shard))

    def throttled(self) -> int:
        return self._read("throttled", None, self.twin.throttled)

    def move_limit(self, before: Board, after: Limit, *, at_ms: int, throttled: int) -> bool:
        def effect() -> bool:
            return self.twin.move_limit(before, after, at_ms=at_ms, throttled=throttled)

        return self._read("move_limit", None, effect)
