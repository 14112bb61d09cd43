"""Requests and answers of the HTTP API, v1. The OpenAPI document is generated from these models."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ratchet.contracts import limits as bounds
from ratchet.contracts.names import (
    CacheKind,
    Complexity,
    ComplexitySource,
    InterruptKind,
    OnConflict,
    Purpose,
    StepType,
    TaskStatus,
    WaitingFor,
)
from ratchet.contracts.session_id import SessionId

Goal = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=bounds.MAX_GOAL_CHARS),
    Field(description="What the agent should achieve.", examples=["Refund order A-1001."]),
]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=128)]
MetadataValue = Annotated[str, StringConstraints(max_length=bounds.MAX_METADATA_VALUE_CHARS)]
Metadata = Annotated[dict[ShortText, MetadataValue], Field(max_length=bounds.MAX_METADATA_ENTRIES)]
Instruction = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=bounds.MAX_GOAL_CHARS)
]
Words = Annotated[str, StringConstraints(min_length=1, max_length=bounds.MAX_ANSWER_CHARS)]
ToolAnswer = Annotated[str, StringConstraints(max_length=bounds.MAX_TOOL_RESULT_CHARS)]

Priority = Annotated[
    int,
    Field(
        ge=0,
        le=bounds.MAX_PRIORITY,
        description="While tasks wait for a slot, those of higher priority go first among your own; default "
        f"{bounds.DEFAULT_PRIORITY}.",
    ),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class LimitsRequest(_Request):
    """What the task may use up; each may only tighten its agent's own limit."""

    max_cost_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    max_steps: Annotated[int, Field(ge=1, le=bounds.MAX_STEPS_CAP)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    deadline_seconds: Annotated[int, Field(ge=1, le=bounds.MAX_DEADLINE_SECONDS)] | None = None


class WebhookRequest(_Request):
    """Where the outcome is posted, signed as Standard Webhooks describes."""

    url: Annotated[str, StringConstraints(max_length=bounds.WEBHOOK_MAX_URL_CHARS)]


class ResumeRequest(_Request):
    """Body of `POST /v1/tasks/{task_id}/resume`; empty to go on under the same limits.

    `effect_outcomes` is asked for when the task ended while the outcome of unsafe calls was not known: what a person
    has found out, by the ids that the error names. The agent is told; nothing is called again without being asked for.
    `upgrade` goes on with what is deployed now; without it the task keeps the version of the agent's code and of the
    routes that it started with, so a mended agent must be asked for.
    """

    limits: LimitsRequest | None = None
    effect_outcomes: Annotated[
        dict[ShortText, Literal["happened", "did_not_happen"]],
        Field(max_length=bounds.MAX_TOOL_CALLS_PER_STEP),
    ] = Field(default_factory=dict)
    upgrade: bool = False


class DecisionRequest(_Request):
    """Body of `POST /v1/tasks/{task_id}/interrupts/{interrupt_id}`: `{answer}`, or a `decision` about an approval.

    `answer` is one of the question's `choices`, or any text where it has none. `edit` lets the tool be called with
    `arguments` in place of the agent's. `reason` is told to the agent when its call is rejected.
    """

    decision: Literal["answer", "approve", "reject", "edit"] = "answer"
    answer: Words | None = None
    arguments: dict[str, Any] | None = None
    reason: Words | None = None


class TaskRequest(_Request):
    """Body of `POST /v1/tasks`.

    `complexity` decides between the simple and the complex routes for the whole task; without it the agent's planning
    step rates the task, or, when it has none, a heuristic does. `on_conflict` says what happens when another task of
    the session has not ended; `enqueue` if not given.
    """

    goal: Goal
    agent: ShortText | None = None
    user_id: ShortText | None = None
    complexity: Complexity | None = None
    limits: LimitsRequest | None = None
    webhook: WebhookRequest | None = None
    metadata: Metadata = Field(default_factory=dict)
    priority: Priority | None = None
    session_id: SessionId | None = None
    on_conflict: OnConflict | None = None


class ForkRequest(_Request):
    """Body of `POST /v1/tasks/{task_id}/fork`; empty to do the last step again.

    The new task inherits the work up to `step` (the last committed one; 0: none of it) and goes on with what followed;
    a step that ended the task is done again. Effects of inherited steps are not repeated, those of later steps are the
    fork's own. `model` does every step of the fork, `instruction` is said to the agent after `step`, and `tool_answers`
    puts other answers in the place of what tools answered, by call id.
    """

    step: int | None = None
    model: ShortText | None = None
    instruction: Instruction | None = None
    tool_answers: dict[str, ToolAnswer] = Field(default_factory=dict)
    limits: LimitsRequest | None = None
    webhook: WebhookRequest | None = None
    metadata: Metadata = Field(default_factory=dict)


class UsageView(_Answer):
    """Tokens; cached and cache writes are parts of input, reasoning is part of output."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cache_write_tokens: int = 0


class ErrorView(_Answer):
    """Why a task did not succeed."""

    code: str
    message: str


class ProgressView(_Answer):
    """How far a task is. `next_step` is null once it has ended."""

    steps: int
    next_step: StepType | None


class LimitsView(_Answer):
    """The limits in force."""

    max_cost_usd: float
    max_steps: int
    max_tokens: int
    deadline_seconds: int


class InterruptView(_Answer):
    """A question that waits for a person; `choices` are the answers that are taken, any text where there are none.

    Of an approval, `tool` and `arguments` are exactly what would be called.
    """

    id: str
    task_id: str
    kind: InterruptKind
    question: str
    choices: list[str]
    expires_at: str
    tool: str | None = None
    arguments: Any | None = None


class InterruptListView(_Answer):
    """What `GET /v1/interrupts` answers, newest task first; `next_cursor` is null on the last page."""

    interrupts: list[InterruptView]
    next_cursor: str | None


class ParentView(_Answer):
    """Which task a fork comes from, and the last step of it whose work it inherited."""

    task_id: str
    step: int


class CostView(_Answer):
    """What a task cost in dollars: its model calls, and an estimate of what AWS charges for it, by service.

    The AWS side is at list prices and follows from the task's counts: its steps, their time, waits, retries, executions
    and unsafe calls. Polling, large bodies and what a month costs anyway are not in it.
    """

    models_usd: float
    aws_usd: float
    total_usd: float
    aws: dict[str, float]


class TaskView(_Answer):
    """A task as `GET /v1/tasks/{task_id}` shows it.

    `complexity` is null where the agent's planning step rates it; `waiting_for` names what keeps a queued task
    waiting: a limit, or its session.
    """

    task_id: str
    status: TaskStatus
    agent: str
    agent_version: str
    goal: str
    user_id: str | None
    metadata: dict[str, str]
    created_at: str
    updated_at: str
    progress: ProgressView
    limits: LimitsView
    interrupts: list[InterruptView]
    result: Any | None
    error: ErrorView | None
    usage: UsageView
    cost_usd: float
    complexity: Complexity | None = None
    complexity_source: ComplexitySource | None = None
    parent: ParentView | None = None
    cost: CostView | None = None
    waiting_for: WaitingFor | None = None
    session_id: str | None = None


class TaskSummaryView(_Answer):
    """A task in a list."""

    task_id: str
    status: TaskStatus
    agent: str
    user_id: str | None
    created_at: str
    updated_at: str


class TaskListView(_Answer):
    """A page of tasks, newest first; `next_cursor` is null on the last page."""

    tasks: list[TaskSummaryView]
    next_cursor: str | None


class ToolRunView(_Answer):
    """One tool call of a step."""

    call_id: str
    name: str
    ok: bool
    duration_ms: int


class CachedFromView(_Answer):
    """The task whose result was given again, and how alike the goals are: 1 is the same."""

    task_id: str
    similarity: float


class StepView(_Answer):
    """A committed step: what it was, which model and version of the agent did it and why, what it cost.

    `expected_cached_tokens` are those of the input that the provider's cache should have held, by what the same model
    had read in this task; compare `usage.cached_tokens`. `complexity_source` is null while nothing has rated the task,
    which makes a step simple. One whose `purpose` is `compaction` summarized the steps before it; later prompts carry
    the summary instead of them. One whose `purpose` is `calls` made the calls that people had approved. One that is
    `cached` has its answer from the response cache (`exact`, which costs nothing), or from the task in `cached_from`
    (`semantic`, which costs an embedding). `lost_cost_usd` is the part of `cost_usd` that calls without a known answer
    may have cost, at the most.
    """

    number: int
    type: StepType
    complexity: Complexity
    purpose: Purpose = Purpose.WORK
    route: str
    model: str | None
    reason: str
    tools: list[ToolRunView]
    usage: UsageView
    expected_cached_tokens: int = 0
    cost_usd: float
    lost_cost_usd: float = 0.0
    attempt: int
    started_at: str
    duration_ms: int
    agent_version: str = ""
    complexity_source: ComplexitySource | None = None
    cached: CacheKind | None = None
    cached_from: CachedFromView | None = None


class DecisionView(_Answer):
    """What was decided about a question of the task, and by whom; `arguments` are those of an edited call."""

    interrupt_id: str
    answer: str
    arguments: Any | None = None
    reason: str | None = None
    decided_by: str | None = None
    decided_at: str


class StepListView(_Answer):
    """The timeline of a task: its own steps, after what it inherited from `parent`, and what people decided.

    `cached_steps` counts those that are `cached`.
    """

    task_id: str
    steps: list[StepView]
    parent: ParentView | None = None
    cached_steps: int = 0
    decisions: list[DecisionView] = Field(default_factory=list)


class AgentView(_Answer):
    """A deployed agent."""

    name: str
    version: str
    description: str
    policy: str
    tools: list[str]
    limits: LimitsView


class AgentListView(_Answer):
    """What `GET /v1/agents` answers."""

    agents: list[AgentView]
    default_agent: str


class RouteView(_Answer):
    """The models of one pair, the preferred one first, then those that take over when it does not answer."""

    step: StepType
    complexity: Complexity
    models: list[str]


class RoutingView(_Answer):
    """What `GET /v1/routes` answers: the routing table that a task submitted now would get.

    `source` is `override` while a table stands in place of the deployed one; `problem` says why one cannot be used.
    """

    source: Literal["deployed", "override"]
    routes: list[RouteView]
    problem: str | None = None


class HealthView(_Answer):
    """What `GET /v1/health` answers."""

    status: str
    version: str


class FieldProblem(_Answer):
    """One thing that is wrong with a request."""

    field: str
    message: str


class Problem(_Answer):
    """RFC 9457 problem details; `code` is stable, `detail` says what to do, `task_id` which task is in the way."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem] = Field(default_factory=list)
    task_id: str | None = None
