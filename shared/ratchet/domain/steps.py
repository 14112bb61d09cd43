"""Steps: what one did (`StepResult`), what was recorded (`StepRecord`), what follows (`Step`, `Paused` or `End`)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ratchet.contracts.charge import NO_CHARGE, Charge
from ratchet.contracts.names import (
    EXPIRED,
    NOBODY,
    Complexity,
    InterruptKind,
    Json,
    Purpose,
    StepType,
    TaskStatus,
)
from ratchet.domain.messages import Message
from ratchet.domain.models import Usage


@dataclass(frozen=True, slots=True)
class Step:
    """The step to run next."""

    type: StepType
    complexity: Complexity
    purpose: Purpose = Purpose.WORK
    calls: "tuple[HeldCall, ...]" = ()  # that people have approved, and that this step is to make


@dataclass(frozen=True, slots=True)
class HeldCall:
    """A tool call as it is asked about, or as it was approved: `digest` is of exactly this action.

    `step` is the one in which the agent asked for it.
    """

    call_id: str
    tool: str
    arguments: str
    step: int
    digest: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task did not succeed: a stable code and a message that a person can act on."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class End:
    """The terminal outcome of a task. `output` holds the result, or what there was of it."""

    status: TaskStatus
    output: Json = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Interrupt:
    """A question that a person answers with one of `choices`.

    `call_id` is the tool call that it is about; of kind `budget`, the limit. `call` is that call where it has not been
    made. A question of the agent without choices takes any text.
    """

    id: str
    kind: InterruptKind
    call_id: str
    question: str
    choices: tuple[str, ...]
    expires_at_ms: int
    call: HeldCall | None = None

    @property
    def unanswered_call(self) -> str | None:
        """The tool call whose outcome it asks for."""
        return self.call_id if self.kind is InterruptKind.EFFECT_UNKNOWN else None


@dataclass(frozen=True, slots=True)
class Paused:
    """The task waits for people. Once every interrupt is decided, it goes on with `then`."""

    interrupts: tuple[Interrupt, ...]
    then: Step

    @property
    def expires_at_ms(self) -> int:
        """When the first of the questions closes."""
        return min(interrupt.expires_at_ms for interrupt in self.interrupts)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person answered to an interrupt, and who it was; `digest` is of the action that was let happen."""

    interrupt_id: str
    answer: str
    arguments: str | None = None  # of an edited call
    reason: str = ""
    digest: str = ""
    by: str = ""

    @property
    def is_expiry(self) -> bool:
        """Whether it stands for the answer that nobody gave in time."""
        return (self.answer, self.by) == (EXPIRED, NOBODY)

    def is_same_as(self, other: "Decision") -> bool:
        """Whether both say the same, whoever said it and for whatever reason."""
        return (self.answer, self.arguments) == (other.answer, other.arguments)


@dataclass(frozen=True, slots=True)
class ToolRun:
    """How one tool call went; its content is in the tool message of the same id."""

    call_id: str
    name: str
    ok: bool
    milliseconds: int


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What one model used in a step that asked several."""

    model: str
    usage: Usage
    cost_microusd: int


@dataclass(frozen=True, slots=True)
class Similar:
    """The task whose answer was given again, and how alike the two goals are: 1 is the same."""

    task_id: str
    similarity: float


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step added to the conversation, and how."""

    type: StepType
    complexity: Complexity
    messages: tuple[Message, ...] = ()
    tool_runs: tuple[ToolRun, ...] = ()
    rating: Complexity | None = None  # set by planning
    model: str | None = None  # None when no model was called
    route: str = ""  # the route's name in the routing table
    reason: str = ""  # why this model: preferred, failover, escalation
    agent_version: str | None = None  # None: the one that the task was submitted with
    usage: Usage = field(default_factory=Usage)
    cost_microusd: int = 0
    lost: Charge = NO_CHARGE  # what calls whose answer is not known may have taken, at the most
    reserved: Charge = NO_CHARGE  # of the step's reservations, what the figures above account for
    decision: Decision | None = None  # of a step that a person took
    purpose: Purpose = Purpose.WORK
    untrusted: bool = False  # it brought what a tool declared untrusted has returned into the history, or followed that
    expected_cached_tokens: int = 0  # of the input, what the provider's cache should have held
    prompt_tokens: int = 0  # of the first call, where there were several
    others: tuple[ModelUse, ...] = ()  # of usage and cost, the part of models other than `model`
    is_cached: bool = False  # the model's answer came from the response cache
    similar: Similar | None = None  # of a step whose answer is another task's

    @property
    def is_summary(self) -> bool:
        """Whether its messages stand for those of all steps before it."""
        return self.purpose is Purpose.COMPACTION and bool(self.answer)

    @property
    def first_prompt_tokens(self) -> int:
        """How long the prompt was that the step began with, by the provider's count."""
        return self.prompt_tokens or self.usage.input_tokens

    @property
    def charged(self) -> Charge:
        """What the task is charged for the step: what it took, and what it may have taken besides."""
        return Charge(self.cost_microusd, self.usage.total_tokens) + self.lost

    @property
    def answer(self) -> str:
        """The text of the model's last message, or "" if it had none."""
        texts = [m.content for m in self.messages if m.role == "assistant" and m.content]
        return texts[-1] if texts else ""


def summary_position(results: Sequence[StepResult]) -> int | None:
    """Where the last summary is; what was before it is no part of the conversation any more."""
    return next((i for i in reversed(range(len(results))) if results[i].is_summary), None)


@dataclass(frozen=True, slots=True)
class Runs:
    """What the committed invocations of step_executor took: the AWS side of a task is estimated from it.

    `retries` are attempts that died or gave up before the one that committed, `idle` commits that were no step, since
    the task ended before its model call. `seats` are the slots that the task has taken, `cache_reads` and
    `cache_writes` its requests to the response cache. Steps of 0.1.0 did not note it.
    """

    milliseconds: int = 0
    waits: int = 0
    retries: int = 0
    unsafe_calls: int = 0
    idle: int = 0
    seats: int = 0
    cache_reads: int = 0
    cache_writes: int = 0

    def __add__(self, other: "Runs") -> "Runs":
        return Runs(
            self.milliseconds + other.milliseconds,
            self.waits + other.waits,
            self.retries + other.retries,
            self.unsafe_calls + other.unsafe_calls,
            self.idle + other.idle,
            self.seats + other.seats,
            self.cache_reads + other.cache_reads,
            self.cache_writes + other.cache_writes,
        )


@dataclass(frozen=True, slots=True)
class Totals:
    """Running totals of a task, including the step that carries them. The cost includes what may have been lost.

    The usage is what providers have told; `lost_tokens` is what calls without a known answer may have used besides.
    """

    steps: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_microusd: int = 0
    runs: Runs = field(default_factory=Runs)
    lost_tokens: int = 0

    @property
    def tokens(self) -> int:
        """What counts towards the limit of tokens."""
        return self.usage.total_tokens + self.lost_tokens

    def plus(self, result: StepResult) -> "Totals":
        """The totals after one more step."""
        totals = self.after_end(result)
        return replace(totals, steps=self.steps + 1, usage=self.usage + result.usage)

    def after_end(self, result: StepResult) -> "Totals":
        """The totals after an end that refused to begin a step: no step, but its lost attempts are charged."""
        return replace(
            self,
            cost_microusd=self.cost_microusd + result.charged.microusd,
            lost_tokens=self.lost_tokens + result.lost.tokens,
        )

    def after(self, run: Runs) -> "Totals":
        """The totals after one more invocation."""
        return replace(self, runs=self.runs + run)


@dataclass(frozen=True, slots=True)
class BudgetWarning:
    """Which shares of `limit_microusd` a step was the first to reach, in percent."""

    limit_microusd: int
    percents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StepRecord:
    """The durable record of a committed step (a checkpoint). Exactly one per number exists."""

    number: int
    result: StepResult
    next: Step | Paused | End
    totals: Totals
    attempt: int
    started_at_ms: int
    finished_at_ms: int
    warning: BudgetWarning | None = None


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What an attempt was about to do when it began an unsafe call: whoever runs the step after it does the same.

    `owner` is the attempt that may begin the step's effects; the rest is the model's answer and what it has cost.
    """

    owner: str
    message: Message
    model: str | None = None
    reason: str = ""
    usage: Usage = field(default_factory=Usage)
    cost_microusd: int = 0
    others: tuple[ModelUse, ...] = ()
    lost: Charge = NO_CHARGE
    reserved: Charge = NO_CHARGE
