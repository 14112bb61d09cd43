"""Steps: what one did (`StepResult`), what was recorded of it (`StepRecord`), what follows (`Step` or `End`)."""

from dataclasses import dataclass, field

from ratchet.contracts.names import Complexity, Json, StepType, TaskStatus
from ratchet.domain.messages import Message
from ratchet.domain.models import Usage


@dataclass(frozen=True, slots=True)
class Step:
    """The step to run next."""

    type: StepType
    complexity: Complexity


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
class ToolRun:
    """How one tool call went; its content is in the tool message of the same id."""

    call_id: str
    name: str
    ok: bool
    milliseconds: int


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
    usage: Usage = field(default_factory=Usage)
    cost_microusd: int = 0

    @property
    def answer(self) -> str:
        """The text of the model's last message, or "" if it had none."""
        texts = [m.content for m in self.messages if m.role == "assistant" and m.content]
        return texts[-1] if texts else ""


@dataclass(frozen=True, slots=True)
class Totals:
    """Running totals of a task, including the step that carries them."""

    steps: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_microusd: int = 0

    def plus(self, result: StepResult) -> "Totals":
        """The totals after one more step."""
        return Totals(
            self.steps + 1, self.usage + result.usage, self.cost_microusd + result.cost_microusd
        )


@dataclass(frozen=True, slots=True)
class StepRecord:
    """The durable record of a committed step (a checkpoint). Exactly one per number exists."""

    number: int
    result: StepResult
    next: Step | End
    totals: Totals
    attempt: int
    started_at_ms: int
    finished_at_ms: int
