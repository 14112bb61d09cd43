"""Answers of the HTTP API about steps: the timeline of a task."""

from typing import Any

from pydantic import Field

from ratchet.contracts.names import CacheKind, Complexity, ComplexitySource, Purpose, StepType
from ratchet.contracts.task_api import ParentView
from ratchet.contracts.usage_report import UsageView
from ratchet.contracts.wire import Answer


class ToolRunView(Answer):
    """One tool call of a step."""

    call_id: str
    name: str
    ok: bool
    duration_ms: int


class CachedFromView(Answer):
    """The task whose result was given again, and how alike the goals are: 1 is the same."""

    task_id: str
    similarity: float


class StepView(Answer):
    """A committed step: what it was, which model and version of the agent did it and why, what it cost.

    `expected_cached_tokens` are those of the input that the provider's cache should have held, by what the same model
    had read in this task; compare `usage.cached_tokens`. `complexity_source` is null while nothing has rated the task,
    which makes a step simple. One whose `purpose` is `compaction` summarized the steps before it; later prompts carry
    the summary instead of them. One whose `purpose` is `calls` made the calls that people had approved. One that is
    `cached` has its answer from the response cache (`exact`, which costs nothing), or from the task in `cached_from`
    (`semantic`, which costs an embedding). `lost_cost_usd` is the part of `cost_usd` that calls without a known answer
    may have cost, at the most; `lost_tokens` is what they may have used beside `usage`, and counts in `max_tokens`.
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
    lost_tokens: int = 0
    attempt: int
    started_at: str
    duration_ms: int
    agent_version: str = ""
    complexity_source: ComplexitySource | None = None
    cached: CacheKind | None = None
    cached_from: CachedFromView | None = None


class DecisionView(Answer):
    """What was decided about a question of the task, and by whom; `arguments` are those of an edited call."""

    interrupt_id: str
    answer: str
    arguments: Any | None = None
    reason: str | None = None
    decided_by: str | None = None
    decided_at: str


class StepListView(Answer):
    """The timeline of a task: its own steps, after what it inherited from `parent`, and what people decided.

    `cached_steps` counts those that are `cached`.
    """

    task_id: str
    steps: list[StepView]
    parent: ParentView | None = None
    cached_steps: int = 0
    decisions: list[DecisionView] = Field(default_factory=list)
