"""What InMemoryCheckpoints keeps, with the limits that AWS sets on it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ratchet.contracts.errors import DataMissing, ServiceRefused
from ratchet.contracts.limits import INLINE_BODY_BYTES
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Standing, TaskStatus
from ratchet.delivery_log import DeliveryAttempt, DeliveryState
from ratchet.domain import codec, keys
from ratchet.domain.memory import Done
from ratchet.domain.remains import lost_record, lost_task
from ratchet.domain.steps import StepRecord, Totals
from ratchet.domain.task import History, SessionPlace, Task, TaskState
from ratchet.domain.usage import Counted
from ratchet.ports import Intent, Reserved, Start
from ratchet.task_list import TaskSummary

MAX_ITEM_BYTES = 400 * 1024
MAX_SORT_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Body:
    """A packed body, or the key of the payload that holds it."""

    inline: bytes = b""
    payload: str | None = None


@dataclass(slots=True)
class Head:
    """A task as it was asked, and where it stands."""

    ref: TaskRef
    body: Body
    created_at_ms: int
    agent: str
    user_id: str | None
    state: TaskState
    due_at_ms: int
    wait_rank: str | None = None
    session: SessionPlace | None = None
    is_upgraded: bool = False
    """Reopened with an upgrade, and not started since."""
    is_erasing: bool = False
    """No reader sees the task any more; what is left of it goes."""
    is_tombstone: bool = False
    """Nothing of the task is left but this, for a while."""

    def summary(self) -> TaskSummary:
        """The task's line in a list."""
        return TaskSummary(
            task_id=self.ref.task_id,
            status=self.state.status,
            agent=self.agent,
            created_at_ms=self.created_at_ms,
            updated_at_ms=self.state.updated_at_ms,
            user_id=self.user_id,
        )

    def may_start(self) -> bool:
        """Whether its session lets the task run."""
        return self.session is None or self.state.standing is Standing.HOLDS

    def run(self, start: Start) -> None:
        """An execution runs the task."""
        self.state = TaskState(
            status=TaskStatus.RUNNING,
            updated_at_ms=start.at_ms,
            opened_at_ms=self.state.opened_at_ms,
            generation=start.generation,
            restarts=start.restarts,
            restarted_at_step=start.at_step if start.restarts else 0,
            machine_version=start.machine_version,
            slot=self.state.slot,
            standing=self.state.standing,
        )
        self.due_at_ms, self.is_upgraded = start.due_at_ms, False

    def tombstone(self, due_at_ms: int) -> "Head":
        """What stays of the head of a deleted task for a while."""
        state = TaskState(self.state.status, self.state.updated_at_ms, 0)
        stone = Head(self.ref, Body(), 0, "", None, state, due_at_ms)
        stone.is_erasing = stone.is_tombstone = True
        return stone

    def check_size(self) -> None:
        """Refuse what does not fit into an item."""
        check_size(self.body, self.agent, self.user_id or "")


@dataclass(slots=True)
class Effect:
    """An unsafe tool call; `body` holds its result."""

    intent: Intent
    body: Body | None = None


@dataclass(slots=True)
class Plan:
    """What the attempt that owns a step's effects was about to do."""

    owner: str
    body: Body


@dataclass(slots=True)
class DeliveryRow:
    """One event's way to one channel."""

    event_id: str
    channel: str
    ok: bool = False
    tries: int = 0
    earlier_tries: int = 0
    not_before_ms: int = 0
    is_dead: bool = False
    attempts: list[DeliveryAttempt] = field(default_factory=list)

    def state(self) -> DeliveryState:
        """How it went so far."""
        return DeliveryState(
            self.ok,
            self.tries - self.earlier_tries,
            self.attempts[-1].at_ms,
            self.not_before_ms,
            self.is_dead,
            self.earlier_tries,
        )


@dataclass(slots=True)
class Partition:
    """All items of one task, by sort key."""

    head: Head | None = None
    steps: dict[int, Body] = field(default_factory=dict)
    effects: dict[str, Effect] = field(default_factory=dict)
    plans: dict[int, Plan] = field(default_factory=dict)
    deliveries: dict[str, DeliveryRow] = field(default_factory=dict)
    counted: Counted | None = None
    reserved: dict[int, Reserved] = field(default_factory=dict)
    remembered: dict[str, Done] = field(default_factory=dict)

    def bury(self, due_at_ms: int) -> int:
        """Forget all but what was counted and which steps there were; returns how many items there were."""
        head, counted = self.head, self.counted
        numbers = {*self.steps, *self.plans}
        erased = self.erase()
        self.counted = counted
        self.plans = {number: Plan("erased", Body()) for number in numbers}
        self.head = None if head is None else head.tombstone(due_at_ms)
        return erased

    def erase(self) -> int:
        """Forget everything, the head last; returns how many items that were."""
        kept_places = (
            self.plans.keys() - self.steps.keys()
        )  # of steps that have effects and no record
        found = len(self.steps) + len(self.effects) + len(self.plans) + len(self.deliveries)
        found += len(kept_places)
        found += len(self.reserved) + len(self.remembered)
        self.steps, self.effects, self.plans, self.deliveries = {}, {}, {}, {}
        self.reserved, self.remembered = {}, {}
        if self.counted is not None:
            self.counted, found = None, found + 1
        if self.head is not None:
            self.head, found = None, found + 1
        return found


class InMemoryPayloads(dict[str, bytes]):
    """Bodies, small ones aside: what S3 would hold, by key. Tests may drop and alter them."""

    def write(self, ref: TaskRef, data: Mapping[str, Any]) -> Body:
        """Pack a JSON object; a large one is kept here."""
        packed = codec.pack(data)
        if len(packed) <= INLINE_BODY_BYTES:
            return Body(packed)
        key = keys.payload_key(ref, hashlib.sha256(packed).hexdigest())
        self[key] = packed
        return Body(payload=key)

    def read(self, body: Body) -> dict[str, Any]:
        """The JSON object of a body."""
        return codec.unpack(self.packed(body))

    def packed(self, body: Body) -> bytes:
        """A body as it is stored. Raises DataMissing when it is gone, or is not what was stored."""
        if body.payload is None:
            return body.inline
        packed = self.get(body.payload)
        if packed is None:
            raise DataMissing(f"the stored body {body.payload} is gone")
        if not body.payload.endswith(hashlib.sha256(packed).hexdigest()):
            raise DataMissing(f"the stored body {body.payload} was altered")
        return packed

    def erase(self, ref: TaskRef) -> None:
        """Delete all bodies of a task."""
        for key in [key for key in self if key.startswith(keys.payload_prefix(ref))]:
            del self[key]

    def read_task(self, head: Head) -> Task:
        """What was asked."""
        return codec.decode_task(head.ref, head.created_at_ms, self.read(head.body))

    def read_record(self, body: Body) -> StepRecord:
        """A step."""
        return codec.decode_record(self.read(body))

    def read_history(self, head: Head, steps: Mapping[int, Body]) -> History:
        """The task with some of its steps."""
        records = tuple(self.read_record(steps[number]) for number in sorted(steps))
        return History(self.read_task(head), head.state, records)

    def read_remains(self, head: Head, steps: Mapping[int, Body]) -> History:
        """The task with its last step, or stand-ins for them."""
        try:
            task = self.read_task(head)
        except DataMissing:
            lost = lost_task(
                head.ref,
                agent=head.agent,
                user_id=head.user_id,
                created_at_ms=head.created_at_ms,
            )
            task = replace(lost, session=head.session)
        records = [self._last(head.state, steps)] if steps else []
        return History(task, head.state, tuple(records))

    def _last(self, state: TaskState, steps: Mapping[int, Body]) -> StepRecord:
        number = max(steps)
        try:
            return self.read_record(steps[number])
        except DataMissing as exc:
            before = {n: body for n, body in steps.items() if n < number}
            return lost_record(number, state, self._totals(before), exc)

    def _totals(self, steps: Mapping[int, Body]) -> Totals:
        for number in sorted(steps, reverse=True):
            try:
                return self.read_record(steps[number]).totals
            except DataMissing:
                continue
        return Totals()


def check_size(body: Body, *texts: str) -> None:
    """Refuse an item of more than 400 KB."""
    if len(body.inline) + sum(len(text.encode()) for text in texts) > MAX_ITEM_BYTES:
        raise ServiceRefused("Item size has exceeded the maximum allowed size")


def sort_key(text: str) -> str:
    """A sort key that DynamoDB takes."""
    if len(text.encode()) > MAX_SORT_KEY_BYTES:
        raise ServiceRefused("Size of rangekey has exceeded the maximum size limit")
    return text


def is_settled(state: TaskState) -> bool:
    """Whether nothing happens until somebody decides."""
    return state.status.is_terminal or state.status is TaskStatus.INPUT_REQUIRED
