"""A session: who runs in it, who waits, and what its ended tasks have said. Pure.

One task of a session runs at a time: the holder of its lock. The others stand in line in the order in which they came;
one that interrupts goes before those that only wait. A task joins when it is submitted (or resumed), takes the lock
before its first step, and leaves when it has ended. It keeps the lock while it asks a person: the question closes after
a week at the latest, so nobody waits for ever, and `interrupt` does not wait for the answer.

Each change replaces the whole value, if nobody has changed it since it was read (`version`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ratchet.contracts import limits
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import OnConflict, Standing
from ratchet.contracts.request_errors import SessionBusy
from ratchet.domain.messages import BYTES_PER_TOKEN, Message, message_bytes
from ratchet.domain.task import History, Task

HISTORY_BYTES = limits.SESSION_HISTORY_TOKENS * BYTES_PER_TOKEN
TURN_BYTES = HISTORY_BYTES * limits.SESSION_TURN_PERCENT // 100
_CUT = " [cut]"


@dataclass(frozen=True, slots=True)
class Turn:
    """What an ended task leaves to those after it; `untrusted` if it came of what strangers wrote.

    Of turns that releases before this one have kept, `ended_at_ms` is 0.
    """

    task_id: str
    messages: tuple[Message, ...]
    untrusted: bool = False
    ended_at_ms: int = 0

    @property
    def size(self) -> int:
        """What it adds to a prompt, in bytes."""
        return sum(map(message_bytes, self.messages))

    def is_over(self, *, now_ms: int) -> bool:
        """Whether its task is erased: who deletes what a user said finds no turn by it any more."""
        kept_until = self.ended_at_ms + limits.TERMINAL_RETENTION_SECONDS * 1000
        return self.ended_at_ms > 0 and now_ms >= kept_until


@dataclass(frozen=True, slots=True)
class Waiter:
    """A task in line; an urgent one goes before those that are not."""

    task_id: str
    is_urgent: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """All that is known of a session; `version` 0 when nothing is stored yet. `ending` is why the holder must end."""

    tenant: str
    session_id: str
    version: int = 0
    last_number: int = 0
    holder: str | None = None
    ending: OnConflict | None = None
    line: tuple[Waiter, ...] = ()
    turns: tuple[Turn, ...] = ()
    updated_at_ms: int = 0

    @property
    def first(self) -> str | None:
        """The task that is next in line."""
        return self.line[0].task_id if self.line else None

    @property
    def open(self) -> tuple[str, ...]:
        """The tasks that have not left: the holder, then the line."""
        held = (self.holder,) if self.holder else ()
        return (*held, *(waiter.task_id for waiter in self.line))

    def at(self, *, now_ms: int) -> "Session":
        """As it is then: what is over is forgotten, but for the numbers that were given."""
        if self.is_over(now_ms=now_ms):
            return Session(self.tenant, self.session_id, self.version, self.last_number)
        if any(turn.is_over(now_ms=now_ms) for turn in self.turns):
            return replace(self, turns=tuple(t for t in self.turns if not t.is_over(now_ms=now_ms)))
        return self

    def ref(self, task_id: str) -> TaskRef:
        """A task of this session."""
        return TaskRef(self.tenant, task_id)

    def is_over(self, *, now_ms: int) -> bool:
        """Whether nothing of it is kept any more: its last task ended so long ago that it is erased."""
        kept_until = self.updated_at_ms + limits.TERMINAL_RETENTION_SECONDS * 1000
        return not self.open and now_ms >= kept_until

    def said_before(self, task_id: str) -> tuple[Message, ...]:
        """What a task is told when it starts: the ended tasks that fit, oldest first, without itself."""
        return tuple(m for turn in self.turns if turn.task_id != task_id for m in turn.messages)

    def tells_untrusted(self, task_id: str) -> bool:
        """Whether something of that came of what strangers wrote."""
        return any(turn.untrusted for turn in self.turns if turn.task_id != task_id)

    def joined(self, task_id: str, on_conflict: OnConflict, *, now_ms: int) -> "Session":
        """With one more task, the one numbered `last_number`.

        Raises:
            SessionBusy: it would have to wait and may not, or too many wait.
        """
        if self.open and on_conflict is OnConflict.REJECT:
            busy = self.open[0]
            raise SessionBusy(
                f"{busy} of session {self.session_id} has not ended; wait for it, or send on_conflict "
                "`enqueue`, `interrupt` or `rollback`",
                busy,
            )
        if len(self.line) >= limits.MAX_SESSION_LINE:
            raise SessionBusy(
                f"{len(self.line)} tasks wait in session {self.session_id}; wait until one of them has started",
                self.open[0],
            )
        is_urgent = on_conflict in (OnConflict.INTERRUPT, OnConflict.ROLLBACK)
        ending = _stronger(self.ending, on_conflict) if is_urgent and self.holder else self.ending
        line = _inserted(self.line, Waiter(task_id, is_urgent))
        number = self.last_number + 1
        return self._next(now_ms, line=line, ending=ending, last_number=number)

    def rejoined(self, task_id: str, *, now_ms: int) -> "Session":
        """With a task at the end of the line that had left and goes on."""
        return self._next(now_ms, line=(*self.line, Waiter(task_id)))

    def taken(self, *, now_ms: int) -> "Session":
        """With the first in line as the holder; there must be none."""
        if self.holder is not None:
            raise ValueError(f"{self.holder} holds the lock")
        return self._next(now_ms, holder=self.first, line=self.line[1:])

    def left(self, task_id: str, turn: Turn | None, *, now_ms: int) -> "Session":
        """Without a task that has ended; with its turn, unless it was to be rolled back."""
        line = tuple(waiter for waiter in self.line if waiter.task_id != task_id)
        turns = tuple(t for t in self.turns if t.task_id != task_id)
        is_holder = task_id == self.holder
        is_undone = is_holder and self.ending is OnConflict.ROLLBACK
        if turn is not None and not is_undone:
            turns = fitting((*turns, turn))
        if is_holder:
            return self._next(now_ms, line=line, turns=turns, holder=None, ending=None)
        return self._next(now_ms, line=line, turns=turns)

    def silenced(self, *, now_ms: int) -> "Session":
        """Without its history."""
        return self._next(now_ms, turns=())

    def _next(self, now_ms: int, **changes: object) -> "Session":
        return replace(self, version=self.version + 1, updated_at_ms=now_ms, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Move:
    """A change of a session, and of where one task of it stands there: both or neither.

    `tip` is that task as it was read, `pinned` its body anew; the task must not have changed since. Without a tip the
    task is gone.
    """

    before: Session
    after: Session
    tip: History | None = None
    standing: Standing | None = None
    pinned: Task | None = None
    due_at_ms: int | None = None


def fitting(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The newest turns that fit the bound together, oldest first."""
    kept: list[Turn] = []
    left = HISTORY_BYTES
    for turn in reversed(turns):
        left -= turn.size
        if left < 0:
            break
        kept.append(turn)
    return tuple(reversed(kept))


def shortened(turn: Turn) -> Turn:
    """The turn as it is, or by its first and last message, each cut, when it is longer than one may be."""
    if turn.size <= TURN_BYTES:
        return turn
    ends = dict.fromkeys((turn.messages[0], turn.messages[-1]))
    share = TURN_BYTES // 2 - 32 - len(_CUT)
    return replace(turn, messages=tuple(_cut(message, share) for message in ends))


def _cut(message: Message, most: int) -> Message:
    text = (message.content or "").encode(errors="replace")
    if len(text) <= most:
        return Message(message.role, message.content)
    return Message(message.role, text[:most].decode(errors="ignore") + _CUT)


def _inserted(line: tuple[Waiter, ...], waiter: Waiter) -> tuple[Waiter, ...]:
    at = sum(w.is_urgent for w in line) if waiter.is_urgent else len(line)
    return (*line[:at], waiter, *line[at:])


def _stronger(before: OnConflict | None, asked: OnConflict) -> OnConflict:
    return OnConflict.ROLLBACK if OnConflict.ROLLBACK in (before, asked) else asked
