"""Admission: who of the waiting tasks starts. The table is the backlog, a doorbell says: look at it.

A queued task takes a slot before it is started; while there is none it stands in its tenant's line, in the table, and
its message is done with. Whoever sees a slot come free rings for those that are next: the deliverer when a task has
ended or paused, the sweeper every minute. A task that has just come does not overtake those in line: the decision
(`ratchet.domain.admission`) is taken among the first of each line and itself.

All of it is bounded: a decision reads the lines of the few tenants that have the fewest tasks running.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ratchet.admission_ports import SlotStore
from ratchet.app.suspensions import nobody
from ratchet.contracts import limits
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import WaitingFor
from ratchet.contracts.settings import AdmissionSettings
from ratchet.domain import slots as rows
from ratchet.domain.admission import (
    Candidate,
    Limit,
    LimitRules,
    Signals,
    Slots,
    adjusted,
    choose,
)
from ratchet.domain.slots import AdmissionRules, Board, Counts, Place, Seat, Seating
from ratchet.domain.task import History
from ratchet.observability import logger
from ratchet.ports import Clock, Inbox

_TRIES = 3
"""Counters that were full when a slot was taken are read again so often."""


def rules_of(settings: AdmissionSettings) -> AdmissionRules:
    """The limits of a deployment; 0 stands for none."""
    most = settings.max_running_tasks
    return AdmissionRules(
        tenant_limit=settings.tenant_running_tasks or None,
        deployment=LimitRules(min(settings.min_running_tasks, most), most) if most else None,
    )


@dataclass(slots=True)
class Admission:
    """Slots, lines and the limit. One for each sandbox: it remembers for a second what seldom changes."""

    store: SlotStore
    clock: Clock
    rules: AdmissionRules
    is_suspended: Callable[[str], bool] = nobody
    _board: Board = field(default_factory=Board)
    _read_at: float = float("-inf")
    _noted: dict[str, float] = field(default_factory=dict)

    def admit(self, tip: History | None) -> list[TaskRef]:
        """Take slots for tasks that may start now, this one among them or not; if not, it waits in line.

        Of those returned each holds a slot, and must be started.
        """
        asked = None if tip is None else rows.candidate_of(tip)
        line = _Line(self, asked)
        started = self._fill(line)
        if tip is None or asked is None or _ref(asked) in started:
            return started
        if not self._park(tip, asked, line.slots) or tip.state.waiting_for is not None:
            return started
        # A slot that came free before the task was in line was offered to others only.
        return [*started, *self._fill(_Line(self, asked))]

    def next_in_line(self, *, most: int) -> list[TaskRef]:
        """The tasks that may start now, none of which holds a slot yet."""
        line = _Line(self, None)
        found: list[TaskRef] = []
        while len(found) < most and (chosen := line.next()) is not None:
            found.append(_ref(chosen))
            line.seated(chosen, line.seat().shard)
        return found

    def ring(self, inbox: Inbox, *, most: int = limits.ADMITTED_AT_ONCE) -> int:
        """Ring for the tasks that may start now; best effort, since the sweeper does it again."""
        try:
            found = self.next_in_line(most=most)
            for ref in found:
                inbox.send(Doorbell(ref))
        except StoreUnavailable:
            logger.warning("waiting tasks were not rung for")
            return 0
        return len(found)

    def sweep(self, inbox: Inbox, *, queue_depth: int) -> int:
        """Renew the notes of who waits, move the limit, ring for who may start; returns the backlog that was seen."""
        now = self.clock.now_ms()
        board = self._fresh_board()
        seen = 0
        for tenant in board.tenants(now_ms=now, within_seconds=limits.WAITING_LOOK_SECONDS):
            if self.is_suspended(tenant):
                continue  # it may be erased; else its tasks look for themselves, SUSPENDED_LOOK_SECONDS apart
            found = len(self.store.first_waiting(tenant, limit=limits.ADMISSION_SHALLOW_DEPTH + 1))
            if found:
                self.store.note_waiting(tenant, at_ms=now)
            seen += found
        self._adjust(board, depth=seen + queue_depth, is_calm=not seen)
        if seen:
            self._fresh_board()
            self.ring(inbox, most=limits.SWEEP_RINGS)
        return seen + queue_depth

    def _fill(self, line: "_Line") -> list[TaskRef]:
        """Seat whoever is first, one after the other."""
        started: list[TaskRef] = []
        refused = 0
        while len(started) < limits.ADMITTED_AT_ONCE and refused < _TRIES:
            chosen = line.next()
            if chosen is None:
                break
            seat = line.seat()
            match self.store.seat(_ref(chosen), seat):
                case Seating.SEATED:
                    line.seated(chosen, seat.shard)
                    started.append(_ref(chosen))
                case Seating.NOT_WAITING:
                    line.drop(chosen)
                case Seating.FULL:
                    refused += 1
                    line.recount()
        return started

    def _park(self, tip: History, asked: Candidate, slots: Slots) -> bool:
        """Put the task in line, where others see it; False if it does not wait any more."""
        now = self.clock.now_ms()
        why = rows.waits_for(asked.tenant, slots)
        noted = self._noted.get(asked.tenant, float("-inf"))
        if self.clock.monotonic() - noted >= limits.WAITING_NOTE_SECONDS:
            # Before it stands there: a line that nobody knows of is not looked at for an hour.
            self.store.note_waiting(asked.tenant, at_ms=now)
            self._noted[asked.tenant] = self.clock.monotonic()
        if not self.store.park(Place(asked, why, rows.look_again_at(tip, now_ms=now))):
            return False
        if why is WaitingFor.DEPLOYMENT_LIMIT:
            self._adjust_if_due()
        return True

    def _adjust_if_due(self) -> None:
        """Whoever finds the deployment full moves its limit, so that a burst does not wait for the sweeper."""
        board = self.board()
        pause = limits.ADMISSION_ADJUST_SECONDS * 1000
        if self.clock.now_ms() - board.adjusted_at_ms < pause:
            return
        depth = 0
        for tenant in self.waiting(board)[: limits.LINES_READ]:
            depth += len(self.store.first_waiting(tenant, limit=limits.ADMISSION_SHALLOW_DEPTH + 1))
            if depth > limits.ADMISSION_SHALLOW_DEPTH:
                break
        self._adjust(board, depth=depth)

    def _adjust(self, board: Board, *, depth: int, is_calm: bool = False) -> None:
        """Move the limit by what has been seen since; nobody counts all calls, so that any 429 counts."""
        rules = self.rules.deployment
        if rules is None or rules.minimum == rules.maximum:
            return
        throttled = self.store.throttled()
        before = board.limit or Limit(rules.minimum)
        running = self.store.counts(())
        slots = running.slots(before.value, None)
        is_full = slots.free <= slots.reserve  # if not, they wait for their tenants' limits
        signals = Signals(
            depth if is_full else 0, running.total, throttled=throttled - board.throttled
        )
        after = adjusted(before, signals, rules)
        if is_calm and after == before and throttled == board.throttled:
            return
        at_ms = self.clock.now_ms()
        if self.store.move_limit(board, after, at_ms=at_ms, throttled=throttled):
            logger.info("limit moved", extra={"before": before.value, "after": after.value})
        self._fresh_board()

    def board(self) -> Board:
        """The limit and who waits, not older than a second."""
        age = self.clock.monotonic() - self._read_at
        return self._board if age < limits.ADMISSION_CACHE_SECONDS else self._fresh_board()

    def waiting(self, board: Board) -> list[str]:
        """The tenants that were seen to wait lately; when they are very many, some of them, by turns."""
        now = self.clock.now_ms()
        found = board.tenants(now_ms=now, within_seconds=limits.WAITING_LAPSE_SECONDS)
        return rows.by_turns(found, now_ms=now)[: limits.TENANTS_COMPARED]

    def _fresh_board(self) -> Board:
        self._board, self._read_at = self.store.board(), self.clock.monotonic()
        return self._board


@dataclass(frozen=True, slots=True)
class SlotReturn:
    """Gives slots back."""

    admission: Admission
    inbox: Inbox

    def __call__(self, tip: History) -> None:
        """Give back the slot of a task that has ended or paused, if it holds one, and ring for who is next.

        Raises:
            StoreUnavailable: the slot may still be taken; call it again.
        """
        if tip.state.slot is None:
            return
        self.admission.store.unseat(tip.task.ref, shard=tip.state.slot)
        self.admission.ring(self.inbox)


class _Line:
    """One decision: the counters as they are now, and the first tasks of the lines that come into question."""

    def __init__(self, admission: Admission, asked: Candidate | None) -> None:
        self._admission = admission
        self._asked = asked
        board = admission.board()
        known = admission.waiting(board)
        own = [] if asked is None or asked.tenant in known else [asked.tenant]
        self._tenants = [*known, *own]
        self._limit = admission.rules.in_force(board.limit)
        self._heads: dict[str, deque[Candidate]] = {}
        self._counts: Counts
        self.slots: Slots
        self.recount()

    def recount(self) -> None:
        """Read the counters again."""
        self._set(self._admission.store.counts(self._tenants))

    def next(self) -> Candidate | None:
        """The task that starts next, None while none may."""
        while any(t not in self._heads for t in self._able()[: limits.LINES_READ]):
            for tenant in self._able()[: limits.LINES_READ]:
                if tenant not in self._heads:
                    self._heads[tenant] = self._read(tenant)
        return choose((line[0] for line in self._heads.values() if line), self.slots)

    def seat(self) -> Seat:
        """The slot that the chosen task takes; the task is due soon, in case it is not started."""
        due = self._admission.clock.now_ms() + limits.RING_AGAIN_SECONDS * 1000
        return rows.seat_for(self._counts, self.slots, due_at_ms=due)

    def seated(self, chosen: Candidate, shard: int) -> None:
        """It has taken a slot."""
        self.drop(chosen)
        self._set(self._counts.after(chosen.tenant, shard))

    def drop(self, chosen: Candidate) -> None:
        """It is not in line any more."""
        self._heads[chosen.tenant].popleft()

    def _able(self) -> Sequence[str]:
        now = self._admission.clock.now_ms()
        with_tasks = [t for t in self._tenants if self._heads.get(t, True)]
        return rows.fewest_first(with_tasks, self.slots, now_ms=now)

    def _read(self, tenant: str) -> deque[Candidate]:
        store, asked = self._admission.store, self._asked
        if self._admission.is_suspended(tenant):
            return deque()  # its line stands still
        found = list(store.first_waiting(tenant, limit=limits.ADMITTED_AT_ONCE))
        if asked is not None and asked.tenant == tenant and asked not in found:
            found.append(asked)
        return deque(sorted(found, key=lambda candidate: candidate.rank))

    def _set(self, counts: Counts) -> None:
        self._counts = counts
        self.slots = counts.slots(self._limit, self._admission.rules.tenant_limit)


def _ref(candidate: Candidate) -> TaskRef:
    return TaskRef(candidate.tenant, candidate.task_id)
