"""Words that code, infrastructure, API and logs share (statuses, step types, keys of shared state)."""

from enum import StrEnum
from typing import TypeAlias

# Opaque JSON: the one alias under which unparsed data may cross a module border.
Json: TypeAlias = (
    "dict[str, Json] | list[Json] | tuple[Json, ...] | str | int | float | bool | None"
)

API_VERSION = "v1"
METRICS_NAMESPACE = "Ratchet"
AGENTS_MANIFEST_FILE = "ratchet_agents.json"
MODELS_FILE = "ratchet_models.json"


class Scope(StrEnum):
    """What a caller may do; each stands for itself, none includes another."""

    SUBMIT = "submit"
    READ = "read"
    DECIDE = "decide"
    ADMIN = "admin"


class TaskStatus(StrEnum):
    """Where a task stands. A terminal status never changes."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    INPUT_REQUIRED = "input_required"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    BUDGET_EXCEEDED = "budget_exceeded"

    @property
    def is_terminal(self) -> bool:
        """True when nothing can follow this status."""
        return self in TERMINAL_STATUSES


TERMINAL_STATUSES = frozenset(
    {
        TaskStatus.SUCCEEDED,
        TaskStatus.FAILED,
        TaskStatus.CANCELLED,
        TaskStatus.TIMED_OUT,
        TaskStatus.BUDGET_EXCEEDED,
    }
)


class WaitingFor(StrEnum):
    """Why a queued task has not started."""

    TENANT_LIMIT = "tenant_limit"
    DEPLOYMENT_LIMIT = "deployment_limit"
    SESSION = "session"
    """Another task of its session runs, or is before it."""


class ScheduleStatus(StrEnum):
    """Where a schedule stands."""

    CREATING = "creating"
    """EventBridge may not have it yet: it fires once the request that makes it has come through."""
    ACTIVE = "active"
    ENDED = "ended"
    """It fires no more."""


class OnConflict(StrEnum):
    """What happens to a task whose session is busy, and to the task that runs there."""

    ENQUEUE = "enqueue"
    """It waits: tasks of a session run in the order in which they came."""
    REJECT = "reject"
    INTERRUPT = "interrupt"
    """The running one is cancelled, and this one is next; the history keeps what the cancelled one did."""
    ROLLBACK = "rollback"
    """The same, and the history keeps nothing of the cancelled one."""


class Standing(StrEnum):
    """Where a task stands in its session."""

    WAITS = "waits"
    HOLDS = "holds"
    """It is the one that runs: it holds the session's lock."""


class MemoryScope(StrEnum):
    """Whose memory it is. The tenant is never part of it: nothing is remembered across tenants."""

    USER = "user"
    """What is remembered of one user, by all agents that may."""
    AGENT = "agent"
    """What an agent knows, whoever asks."""
    TENANT = "tenant"


class StepType(StrEnum):
    """What a step asks of the model; half of the routing key."""

    PLANNING = "planning"
    REASONING = "reasoning"
    TOOL_DISPATCH = "tool_dispatch"
    FINAL_SYNTHESIS = "final_synthesis"


class Complexity(StrEnum):
    """How hard the task was rated; the other half of the routing key."""

    SIMPLE = "simple"
    COMPLEX = "complex"


class ComplexitySource(StrEnum):
    """Who rated a task."""

    CALLER = "caller"
    PLAN = "plan"
    HEURISTIC = "heuristic"


class CacheKind(StrEnum):
    """Where an answer came from that no model gave for this step: the very same prompt, or a goal like this one."""

    EXACT = "exact"
    SEMANTIC = "semantic"


class Purpose(StrEnum):
    """What a step is for: the agent's work, a summary that keeps its history short, or calls that people approved."""

    WORK = "work"
    COMPACTION = "compaction"
    CALLS = "calls"


class Effect(StrEnum):
    """What calling a tool twice would do to the world."""

    READ = "read"
    IDEMPOTENT = "idempotent"
    UNSAFE = "unsafe"


class InterruptKind(StrEnum):
    """What a pause asks for."""

    EFFECT_UNKNOWN = "effect_unknown"
    """An unsafe tool call was begun and gave no answer: did it happen?"""
    BUDGET = "budget"
    """A limit of the task is reached: may it go on with twice as much?"""
    APPROVAL = "approval"
    """The agent wants to make a tool call: may it?"""
    QUESTION = "question"
    """The agent asks a person something, by its tool `ask_human`."""


class EffectAnswer(StrEnum):
    """What a person may answer to `effect_unknown`."""

    HAPPENED = "happened"
    DID_NOT_HAPPEN = "did_not_happen"
    ABORT = "abort"


class Channel(StrEnum):
    """A way that announcements take."""

    SNS = "sns"
    WEBHOOK = "webhook"


class ApprovalAnswer(StrEnum):
    """What a person may answer to `approval`."""

    APPROVE = "approve"
    REJECT = "reject"
    EDIT = "edit"


EXPIRED = "expired"
NOBODY = "nobody"
"""What stands in the place of an answer that nobody gave in time, and who gave it."""


class UsageBy(StrEnum):
    """What `GET /v1/usage` sums up by."""

    DAY = "day"
    MODEL = "model"
    AGENT = "agent"
    USER = "user"
    SESSION = "session"


class BudgetAnswer(StrEnum):
    """What a person may answer to `budget`."""

    RAISE = "raise"
    FINISH = "finish"


class Action(StrEnum):
    """What the state machine does after a step; `$.action` in the state's output."""

    STEP = "step"
    WAIT = "wait"
    WARN = "warn"
    ROLL_OVER = "roll_over"
    FINISH = "finish"
