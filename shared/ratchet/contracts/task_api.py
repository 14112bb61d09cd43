"""Requests and answers of the HTTP API about tasks."""

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, StringConstraints

from ratchet.contracts import limits as bounds
from ratchet.contracts.interrupt_api import InterruptView
from ratchet.contracts.names import (
    Complexity,
    ComplexitySource,
    OnConflict,
    StepType,
    TaskStatus,
    WaitingFor,
)
from ratchet.contracts.session_id import SessionId
from ratchet.contracts.usage_report import UsageView
from ratchet.contracts.wire import Answer, Request, ShortText

Goal = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=bounds.MAX_GOAL_CHARS),
    Field(description="What the agent should achieve.", examples=["Refund order A-1001."]),
]
MetadataValue = Annotated[str, StringConstraints(max_length=bounds.MAX_METADATA_VALUE_CHARS)]
Metadata = Annotated[dict[ShortText, MetadataValue], Field(max_length=bounds.MAX_METADATA_ENTRIES)]
Instruction = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=bounds.MAX_GOAL_CHARS)
]
ToolAnswer = Annotated[str, StringConstraints(max_length=bounds.MAX_TOOL_RESULT_CHARS)]
Priority = Annotated[
    StrictInt,
    Field(
        ge=0,
        le=bounds.MAX_PRIORITY,
        description="While tasks wait for a slot, those of higher priority go first among your own; default "
        f"{bounds.DEFAULT_PRIORITY}.",
    ),
]


class LimitsRequest(Request, strict=True):
    """What the task may use up; each may only tighten its agent's own limit.

    Dollars and tokens of a call whose answer was lost count as used, at their most.
    """

    max_cost_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    max_steps: Annotated[int, Field(ge=1, le=bounds.MAX_STEPS_CAP)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    deadline_seconds: Annotated[int, Field(ge=1, le=bounds.MAX_DEADLINE_SECONDS)] | None = None


class WebhookRequest(Request):
    """Where the outcome is posted, signed as Standard Webhooks describes."""

    url: Annotated[str, StringConstraints(max_length=bounds.WEBHOOK_MAX_URL_CHARS)]


class GoalRequest(Request):
    """A goal, and how it is to be reached.

    `complexity` decides between the simple and the complex routes for the whole task; without it the agent's planning
    step rates the task, or, when it has none, a heuristic does.
    """

    goal: Goal
    agent: ShortText | None = None
    user_id: ShortText | None = None
    complexity: Complexity | None = None
    limits: LimitsRequest | None = None
    webhook: WebhookRequest | None = None
    metadata: Metadata = Field(default_factory=dict)
    priority: Priority | None = None


class TaskRequest(GoalRequest):
    """Body of `POST /v1/tasks`.

    `complexity` decides between the simple and the complex routes for the whole task; without it the agent's planning
    step rates the task, or, when it has none, a heuristic does. `on_conflict` says what happens when another task of
    the session has not ended; `enqueue` if not given.
    """

    session_id: SessionId | None = None
    on_conflict: OnConflict | None = None


class ResumeRequest(Request):
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
    upgrade: StrictBool = False


class ForkRequest(Request):
    """Body of `POST /v1/tasks/{task_id}/fork`; empty to do the last step again.

    The new task inherits the work up to `step` (the last committed one; 0: none of it) and goes on with what followed;
    a step that ended the task is done again. Effects of inherited steps are not repeated, those of later steps are the
    fork's own. `model` does every step of the fork, `instruction` is said to the agent after `step`, and `tool_answers`
    puts other answers in the place of what tools answered, by call id.
    """

    step: StrictInt | None = None
    model: ShortText | None = None
    instruction: Instruction | None = None
    tool_answers: dict[str, ToolAnswer] = Field(default_factory=dict)
    limits: LimitsRequest | None = None
    webhook: WebhookRequest | None = None
    metadata: Metadata = Field(default_factory=dict)


class LimitsView(Answer):
    """The limits in force."""

    max_cost_usd: float
    max_steps: int
    max_tokens: int
    deadline_seconds: int


class ErrorView(Answer):
    """Why a task did not succeed."""

    code: str
    message: str


class ProgressView(Answer):
    """How far a task is. `next_step` is null once it has ended."""

    steps: int
    next_step: StepType | None


class ParentView(Answer):
    """Which task a fork comes from, and the last step of it whose work it inherited."""

    task_id: str
    step: int


class CostView(Answer):
    """What a task cost in dollars: its model calls, and an estimate of what AWS charges for it, by service.

    The AWS side is at list prices and follows from the task's counts: its steps, their time, waits, retries,
    executions, unsafe calls, slots, and answers looked for and kept in the response cache. Polling, large bodies,
    waiting in line, sessions, semantic caches and what a month costs anyway are not in it.
    """

    models_usd: float
    aws_usd: float
    total_usd: float
    aws: dict[str, float]


class TaskView(Answer):
    """A task as `GET /v1/tasks/{task_id}` shows it.

    `complexity` is null where the agent's planning step rates it; `waiting_for` names what keeps a queued task
    waiting: a limit, or its session. `schedule_id` is that of the schedule that submitted it.
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
    schedule_id: str | None = None


class TaskSummaryView(Answer):
    """A task in a list."""

    task_id: str
    status: TaskStatus
    agent: str
    user_id: str | None
    created_at: str
    updated_at: str


class TaskListView(Answer):
    """A page of tasks, newest first; `next_cursor` is null on the last page."""

    tasks: list[TaskSummaryView]
    next_cursor: str | None
