"""What the use cases need from the world. Each port has an adapter on AWS and a twin in `ratchet.testing`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ratchet.contracts.charge import Charge
from ratchet.contracts.messages import Doorbell, StepOutput, TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.delivery_log import DeliveryLog
from ratchet.domain.steps import StepPlan, StepRecord
from ratchet.domain.task import History, Task, TaskLimits, TaskState
from ratchet.task_list import ListFilter, Page
from ratchet.usage_ledger import UsageLedger

if TYPE_CHECKING:  # a prompt knows pydantic; of the functions only step_executor carries it
    pass


@dataclass(frozen=True, slots=True)
class IdempotencyClaim:
    """A caller's Idempotency-Key with the digest of the body that came with it."""

    key: str
    body_sha256: str
    expires_at: int  # epoch seconds


@dataclass(frozen=True, slots=True)
class Created:
    """What submitting did: `task` is the new one, or the one that the same key created before."""

    task: Task
    state: TaskState
    is_replay: bool
    body_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """The record that an unsafe tool call was begun; `result` once it is known.

    After `dies_at_ms` the attempt that began it cannot be alive any more.
    """

    attempt_id: str
    call_id: str = ""
    dies_at_ms: int = 0
    result: str | None = None
    ok: bool = True


ANY_ATTEMPT = "*"
"""In place of an attempt's id: whichever attempt it was."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The effects that attempts at a step have begun, by idempotency key, and what they were part of."""

    plan: StepPlan
    intents: Mapping[str, Intent]

    @property
    def call_ids(self) -> frozenset[str]:
        """The calls that were begun."""
        return frozenset(intent.call_id for intent in self.intents.values())


@dataclass(frozen=True, slots=True)
class Reserved:
    """What all attempts at a step may have spent, at the most, and the attempt that wrote it last."""

    charge: Charge
    owner: str


@dataclass(frozen=True, slots=True)
class Start:
    """An execution that was started; `restarts` counts the dead ones in a row that it follows.

    `opened_at_ms` is when the task, as it was read, had been created, resumed or answered.
    """

    generation: int
    at_ms: int
    due_at_ms: int
    opened_at_ms: int
    restarts: int = 0
    at_step: int = 1
    machine_version: str | None = None


@dataclass(frozen=True, slots=True)
class Reopening:
    """How an ended or paused task goes on: `record` takes the next number and says with which step.

    With `upgrade` it forgets its state machine version, and so starts on the current one.
    """

    record: StepRecord
    limits: TaskLimits
    at_ms: int
    due_at_ms: int
    upgrade: bool = False


@dataclass(frozen=True, slots=True)
class DueTask:
    """A task that someone should look at, as the index showed it."""

    ref: TaskRef
    status: TaskStatus
    due_at_ms: int


class CheckpointStore(UsageLedger, DeliveryLog, Protocol):
    """Tasks and their steps. Every method may raise StoreUnavailable; reads of a task are strongly consistent."""

    def create_task(self, task: Task, *, claim: IdempotencyClaim | None, due_at_ms: int) -> Created:
        """Write a queued task (and the claim) atomically; with a known key, return what it created instead."""
        ...

    def load(self, ref: TaskRef, *, after: int = 0) -> History | None:
        """The task with its steps after number `after`: one read request. None if there is no such task."""
        ...

    def load_tip(self, ref: TaskRef) -> History | None:
        """The task with only its last committed step: one read request, for status answers."""
        ...

    def load_remains(self, ref: TaskRef) -> History | None:
        """The task with its last step when `load` or `load_tip` raised DataMissing: stand-ins for what cannot be read.

        The last step of an ended task still says how it ended, with `data_missing` as its failure. Reads every item of
        the task. None if there is no such task.
        """
        ...

    def mark_started(self, ref: TaskRef, start: Start) -> None:
        """Note that an execution runs the task; nothing if a later one was started.

        One that has ended or paused, or was reopened since it was read, does not run: the execution was so fast, or
        the note so late. Only the generation and the version are noted then, so that the next execution is another
        one; an upgraded task takes no version from before.
        """
        ...

    def commit(
        self, task: Task, record: StepRecord, *, due_at_ms: int, effects_of: str | None = None
    ) -> StepRecord:
        """Record a step unless its number is taken; returns the step that holds the number now.

        When the step ends or pauses the task, its status and the duty to announce it are written with it, atomically.
        Effects that were begun for this step belong into its record: `effects_of` is the attempt that it tells of, and
        that must still own the step's plan; or ANY_ATTEMPT, when it ends the task without work (then resuming tells of
        them).

        Raises:
            AttemptSuperseded: effects were begun for this step, and the record does not tell of them.
        """
        ...

    def reopen(self, tip: History, reopening: Reopening) -> bool:
        """Queue an ended or paused task again with its next step; False if someone else has done so.

        Atomically: the step that says so, the status, the new limits, and no more expiry on what had one.
        """
        ...

    def due_tasks(self, shard: str, *, now_ms: int, limit: int) -> Sequence[DueTask]:
        """What someone should look at by now, longest due first (eventually consistent: act on a fresh read)."""
        ...

    def postpone(self, due: DueTask, *, until_ms: int) -> bool:
        """Look again at that time; False if the task changed since it was found."""
        ...

    def begin_effect(
        self, ref: TaskRef, plan: StepPlan, *, step: int, key: str, intent: Intent
    ) -> Intent:
        """Record the intent of an unsafe call unless there is one; returns the intent that stands.

        With the first one of a step the plan is recorded, and its owner alone may begin the others.

        Raises:
            AttemptSuperseded: the step is committed, or another attempt owns its plan.
        """
        ...

    def begun_effects(self, ref: TaskRef, *, step: int) -> Begun | None:
        """What attempts at a step have begun, None if nothing."""
        ...

    def adopt_plan(self, ref: TaskRef, plan: StepPlan, *, step: int, owner: str) -> bool:
        """Make `owner` the plan's: attempts before it begin no more effects and commit none.

        False if another was faster, or the step is committed.
        """
        ...

    def retake_effect(
        self, ref: TaskRef, *, step: int, key: str, before: Intent, after: Intent
    ) -> bool:
        """Take over a call that surely has not happened, to make it, as the owner of the step's plan.

        False if it has been taken, has a result, the plan is another's, or the step is committed.
        """
        ...

    def end_effect(self, ref: TaskRef, *, step: int, key: str, intent: Intent) -> None:
        """Record the result of an unsafe call.

        Raises:
            AttemptSuperseded: the intent is another attempt's.
        """
        ...

    def reserved(self, ref: TaskRef, *, step: int) -> Reserved | None:
        """What attempts at a step have reserved; None if none had to."""
        ...

    def reserve(self, ref: TaskRef, *, step: int, before: Reserved | None, after: Reserved) -> bool:
        """Replace what is reserved for a step; False if `before` stands no more.

        Also False when the step's place is taken: it is committed, or kept for who tells of its effects.
        """
        ...

    def list_tasks(
        self, tenant: str, *, where: ListFilter, limit: int, after: str | None = None
    ) -> Page:
        """Tasks of a tenant, newest first (eventually consistent)."""
        ...

    def due_again(self, ref: TaskRef, *, ended_at_ms: int, at_ms: int) -> None:
        """Look again at a task that ended or paused then; nothing if it has gone on since."""
        ...

    def erase(self, ref: TaskRef) -> int:
        """Delete a task whose retention has passed, or whose erasing was begun: bodies, steps, ledgers, the head last.

        Returns the items deleted. Safe to repeat after a crash. Does nothing (0) while readers can still see the task.
        """
        ...


class Inbox(Protocol):
    """A queue of doorbells: it makes things fast, the table makes them certain."""

    def send(self, bell: Doorbell) -> None:
        """Ring for a task. Raises StoreUnavailable when the queue does not answer."""
        ...


@dataclass(frozen=True, slots=True)
class ExecutionState:
    """What the state machine says of an execution; `cause` when it died."""

    is_running: bool
    cause: str = ""


class Workflow(Protocol):
    """The state machine; its executions are named after task and generation."""

    def start(self, first: StepOutput) -> str | None:
        """Start the execution of `first.execution.generation`; nothing if there is one of that name.

        It runs `first.execution.version` of the state machine, or the current one when that is None or no longer
        exists. Returns the version that the execution of that name runs, None when versions are not in use.
        """
        ...

    def stop(self, ref: TaskRef, *, generation: int, cause: str) -> None:
        """Stop an execution; nothing if it has ended or never was."""
        ...

    def describe(self, ref: TaskRef, *, generation: int) -> ExecutionState:
        """Whether an execution is alive; one that never was is not."""
        ...


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth announcing; `body` is the same bytes on every try and channel."""

    id: str
    type: str
    body: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)


class Announcer(Protocol):
    """One way out: SNS, or a webhook."""

    channel: str

    def announce(self, event: Event, *, target: str | None) -> str:
        """Deliver the event; returns a short note for the log.

        Raises:
            DeliveryFailed: it did not arrive, or may not have.
        """
        ...


class Metrics(Protocol):
    """Counts and amounts that dashboards and alarms read."""

    def step_finished(self, record: StepRecord, *, task: Task) -> None:
        """One committed step."""
        ...


class RoutingOverride(Protocol):
    """A routing table that people put in place of the deployed one, without deploying."""

    def read(self) -> str | None:
        """The table as JSON text, as whoever wrote it left it; None if there is none. May raise StoreUnavailable."""
        ...

    def write(self, table: str | None) -> None:
        """Put a table there, or None to go back to the deployed one. May raise StoreUnavailable."""
        ...


class Clock(Protocol):
    """The time."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait (long polls only; steps never sleep)."""
        ...


class Ids(Protocol):
    """Fresh identities."""

    def task_id(self) -> str:
        """`task_` and a ULID: sortable by creation."""
        ...

    def attempt_id(self) -> str:
        """Unique to one invocation."""
        ...
