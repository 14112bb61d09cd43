"""What the use cases need from the world. Each port has an adapter on AWS and a twin in `ratchet.testing`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ratchet.contracts.messages import StepOutput, TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.domain.messages import ToolCall
from ratchet.domain.models import Usage
from ratchet.domain.steps import StepRecord
from ratchet.domain.task import History, Task, TaskState

if TYPE_CHECKING:  # a prompt knows pydantic; of the functions only step_executor carries it
    from ratchet.domain.prompt import Prompt


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
class TaskSummary:
    """One line of a task list."""

    task_id: str
    status: TaskStatus
    agent: str
    created_at_ms: int
    updated_at_ms: int
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some tasks, newest first; `after` is the task id to go on from, None at the end."""

    tasks: tuple[TaskSummary, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Which tasks of a tenant to list."""

    status: TaskStatus | None = None
    agent: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """The record that an unsafe tool call was begun; `result` once it is known."""

    attempt_id: str
    result: str | None = None
    ok: bool = True


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """How one try to announce an event went."""

    event_id: str
    channel: str
    ok: bool
    at_ms: int
    detail: str


class CheckpointStore(Protocol):
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

    def mark_started(self, ref: TaskRef, *, execution_arn: str, at_ms: int) -> None:
        """Note that the state machine runs the task; nothing if it is no longer queued."""
        ...

    def commit(self, task: Task, record: StepRecord, *, due_at_ms: int) -> StepRecord:
        """Record a step unless its number is taken; returns the step that holds the number now.

        When the step ends the task, its status and the duty to announce it are written with it, atomically.
        """
        ...

    def begin_effect(self, ref: TaskRef, *, step: int, key: str, attempt_id: str) -> Intent:
        """Record the intent of an unsafe call unless there is one; returns the intent that stands."""
        ...

    def end_effect(self, ref: TaskRef, *, step: int, key: str, intent: Intent) -> None:
        """Record the result of an unsafe call."""
        ...

    def list_tasks(
        self, tenant: str, *, where: ListFilter, limit: int, after: str | None = None
    ) -> Page:
        """Tasks of a tenant, newest first (eventually consistent)."""
        ...

    def delivered_channels(self, ref: TaskRef, event_id: str) -> frozenset[str]:
        """The channels on which the event has arrived."""
        ...

    def record_delivery(self, ref: TaskRef, attempt: DeliveryAttempt) -> None:
        """Add a try to the event's delivery log."""
        ...

    def mark_announced(self, ref: TaskRef) -> None:
        """Nothing is left to announce."""
        ...


class Inbox(Protocol):
    """A queue of task references: the doorbell, never the ledger."""

    def send(self, ref: TaskRef) -> None:
        """Ring for a task. Raises StoreUnavailable when the queue does not answer."""
        ...


class Workflow(Protocol):
    """The state machine."""

    def start(self, first: StepOutput) -> str:
        """Start the execution named after the task, or find the one that there is; returns its ARN."""
        ...

    def stop(self, execution_arn: str, *, cause: str) -> None:
        """Stop an execution; nothing if it has ended."""
        ...


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call to one model."""

    model: str
    prompt: "Prompt"
    max_output_tokens: int
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model answered. `finish_reason` in OpenAI's words; anything unknown is kept as it came."""

    content: str | None
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    usage: Usage
    refusal: str | None = None


class ChatModel(Protocol):
    """Chat completions of any OpenAI-compatible provider."""

    def complete(self, call: ModelCall) -> ModelAnswer:
        """One call, no retries.

        Raises:
            ModelThrottled, ModelUnavailable, ModelRejected, ContextOverflow
        """
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
