"""A story is everything of a schedule but its faults: who asks for what and when, and what the day is like."""

from dataclasses import dataclass
from enum import StrEnum

from ratchet.contracts.batch_api import BatchRequest
from ratchet.contracts.limits import INLINE_BODY_BYTES
from ratchet.contracts.task_api import ForkRequest, TaskRequest
from tests.simulation.canary import CANARY

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Submit:
    """A caller submits a goal, and again until there is an answer."""

    goal: str
    agent: str = "loop"
    tenant: str = "acme"
    key: str | None = "key"
    at_ms: int = 0
    webhook: bool = False
    max_cost_usd: float | None = None
    max_tokens: int | None = None
    deadline_seconds: int | None = None
    priority: int | None = None
    session: str | None = None
    on_conflict: str | None = None
    user: str = ""

    def request(self, number: int) -> TaskRequest:
        """The body; the same on every try."""
        body: dict[str, object] = {
            "goal": f"{self.goal}#{number} {CANARY}",
            "agent": self.agent,
            "user_id": f"user{self.user} {CANARY}",
            "metadata": {f"name {CANARY}": f"value {CANARY}"},
        }
        if self.webhook:
            body["webhook"] = {"url": f"https://example.com/{CANARY}"}
        limits = {
            "max_cost_usd": self.max_cost_usd,
            "max_tokens": self.max_tokens,
            "deadline_seconds": self.deadline_seconds,
        }
        if any(limits.values()):
            body["limits"] = limits
        if self.priority is not None:
            body["priority"] = self.priority
        if self.session is not None:
            body |= {"session_id": self.session, "on_conflict": self.on_conflict}
        return TaskRequest.model_validate(body)

    def idempotency_key(self) -> str | None:
        """The header of that name."""
        return self.key and f"{self.key} {CANARY}"


@dataclass(frozen=True, slots=True)
class Cancel:
    """The caller of a submit cancels its task."""

    of: int = 0
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Resume:
    """Somebody resumes a task some time after it has ended."""

    of: int = 0
    after_ms: int = 1_000
    upgrade: bool = False


@dataclass(frozen=True, slots=True)
class Fork:
    """Somebody forks a task, and again until there is an answer: at that time, or so long after it has ended."""

    of: int = 0
    step: int | None = None
    key: str = "fork"
    at_ms: int = 0
    after_ms: int | None = None
    model: str | None = None
    instruction: str | None = None

    def request(self) -> ForkRequest:
        """The body; the same on every try. What it makes can be told by its key."""
        return ForkRequest(
            step=self.step,
            model=self.model,
            instruction=self.instruction and f"{self.instruction} {CANARY}",
            metadata={"key": f"{self.key} {CANARY}"},
        )

    def idempotency_key(self) -> str:
        """The header of that name."""
        return f"{self.key} {CANARY}"


@dataclass(frozen=True, slots=True)
class Trespass:
    """Another tenant tries to cancel, resume and fork a task by its id, and to answer what it asks."""

    of: int = 0
    at_ms: int = 0
    tenant: str = "mallory"


@dataclass(frozen=True, slots=True)
class Redeliver:
    """Somebody sends the announcement of a task's end to its webhook again, so long after the end."""

    of: int = 0
    after_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class SubmitBatch:
    """A caller submits goals at once, and again until there is an answer; then looks how far they are, now and then."""

    goals: tuple[str, ...]
    tenant: str = "acme"
    key: str | None = "batch"
    at_ms: int = 0

    def request(self) -> BatchRequest:
        """The body; the same on every try."""
        tasks = [{"goal": f"{goal}#0 {CANARY}", "agent": "loop"} for goal in self.goals]
        return BatchRequest.model_validate({"tasks": tasks})


@dataclass(frozen=True, slots=True)
class Suspend:
    """An operator suspends a tenant, and so much later lets it go on, or erases it as soon as that is allowed."""

    at_ms: int
    tenant: str = "acme"
    resumes_after_ms: int = 20_000
    erases: bool = False


@dataclass(frozen=True, slots=True)
class Forget:
    """Somebody deletes this session, or else all that is kept of the user, so long after the task has ended.

    Not `persistent`: whoever it is asks once, whatever becomes of it.
    """

    of: int = 0
    after_ms: int = 0
    session: str | None = None
    user: str = ""
    persistent: bool = True


Verb = Cancel | Resume | Fork | Trespass | Redeliver | Forget
"""What is done about a task that was submitted."""
Act = Submit | SubmitBatch | Suspend | Verb


class Says(StrEnum):
    """What somebody answers to a question."""

    TRUTH = "truth"  # after a look at what has really happened
    LIE = "lie"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody answers every question of every task, so long after it was asked."""

    after_ms: int = 60_000
    says: Says = Says.TRUTH


@dataclass(frozen=True, slots=True)
class Story:
    """What happens. `seed` throws the dice of latencies, clocks and lags; without one all calls take the same time."""

    name: str
    acts: tuple[Act, ...]
    seed: int | None = None
    fickle: str = ""
    steps_per_execution: int = 500
    patience_seconds: int = 30
    webhook_down_ms: int = 0
    webhook_gone_ms: int = 0  # the receiver answers 410 until then
    throttled_ms: int = 0  # the provider answers 429 until then
    outage_ms: int = 0  # the provider is down until then
    rejecting_ms: int = 0  # the provider refuses all calls until then
    rejecting_after_ms: int = 0  # and from then on
    dying_executions: int = 0  # that many executions die in their first Task state
    spared_steps: int = 0
    dying_steps: int = 0  # after the spared ones, the sandboxes of that many steps die at once
    deadly_calls: int = 0  # in that many unsafe calls the sandbox dies, before anything happens
    silent_calls: int = 0  # after them, that many happen, and give no answer
    lost_calls: int = 0  # after them, that many do not happen, and give no answer either
    poison_at_ms: int = 0  # a message that is not ours arrives then
    lambda_throttled_ms: int = 0  # the account's concurrency is used up until then
    deployed_at_ms: int = 0  # a new version of all code is deployed then
    max_skew_ms: int = 0
    visits: tuple[Visit, ...] = (Visit(),)  # who answers what the tasks ask
    tenant_running: int = 0  # tasks of a tenant that may run at once; 0 for as many as come
    min_running: int = 0
    max_running: int = 0  # of all tenants; the limit moves between these two
    inline_bytes: int = INLINE_BODY_BYTES  # larger bodies are in the bucket
    spares_holders: bool = (
        False  # who interrupts dies before it ends the other; its dispatcher does
    )
    robbed_at_ms: int = 0  # somebody empties the bucket then
    is_erased: bool = False  # go on until retention is over
    limit_ms: int = 6 * 24 * HOUR_MS
