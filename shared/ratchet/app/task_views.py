"""How tasks and steps look from outside: domain values to the answers of the HTTP API."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from ratchet.app.agents import AgentInfo
from ratchet.contracts.deployment_api import AgentView
from ratchet.contracts.interrupt_api import InterruptView
from ratchet.contracts.names import CacheKind, ComplexitySource, InterruptKind, Purpose
from ratchet.contracts.step_api import (
    CachedFromView,
    DecisionView,
    StepListView,
    StepView,
    ToolRunView,
)
from ratchet.contracts.task_api import (
    CostView,
    ErrorView,
    LimitsView,
    ParentView,
    ProgressView,
    TaskListView,
    TaskSummaryView,
    TaskView,
)
from ratchet.contracts.usage_report import UsageView
from ratchet.domain.approvals import value_of
from ratchet.domain.aws_bill import NANO
from ratchet.domain.complexity import source_of
from ratchet.domain.models import Usage
from ratchet.domain.rfc3339 import timestamp
from ratchet.domain.steps import Decision, End, Interrupt, Paused, StepRecord, StepResult
from ratchet.domain.task import NOT_MADE, UNHEARD, History, Task, TaskLimits, step_after
from ratchet.domain.task_bill import Functions
from ratchet.domain.task_cost import DEPLOYED, aws_side
from ratchet.task_list import Page, TaskSummary


def task_view(tip: History, functions: Functions = DEPLOYED) -> TaskView:
    """A task from its head and last step; `functions` are the deployment's, which its AWS side depends on."""
    task, end = tip.task, tip.next
    failure = end.failure if isinstance(end, End) else None
    return TaskView(
        task_id=task.ref.task_id,
        status=tip.state.status,
        agent=task.agent,
        agent_version=tip.agent_version,
        goal=task.goal,
        user_id=task.user_id,
        metadata=dict(task.metadata),
        created_at=timestamp(task.created_at_ms),
        updated_at=timestamp(
            max(tip.state.updated_at_ms, *(r.finished_at_ms for r in tip.records), 0)
        ),
        progress=ProgressView(
            steps=tip.totals.steps,
            next_step=None if isinstance(end, End) else step_after(tip).type,
        ),
        limits=limits_view(task.limits),
        result=end.output if isinstance(end, End) else None,
        interrupts=interrupt_views(tip),
        error=None if failure is None else ErrorView(code=failure.code, message=failure.message),
        usage=usage_view(tip.totals.usage),
        cost_usd=usd(tip.totals.cost_microusd),
        complexity=task.rating.complexity if task.rating else None,
        complexity_source=task.rating.source if task.rating else None,
        parent=parent_view(task),
        cost=_cost_view(tip, functions),
        waiting_for=tip.state.waiting_for,
        session_id=task.session.session_id if task.session else None,
        schedule_id=task.schedule_id,
    )


def interrupt_views(tip: History) -> list[InterruptView]:
    """The open questions of a task."""
    asked = tip.next.interrupts if isinstance(tip.next, Paused) else ()
    return [
        InterruptView(
            id=interrupt.id,
            task_id=tip.task.ref.task_id,
            kind=interrupt.kind,
            question=interrupt.question,
            choices=list(interrupt.choices),
            expires_at=timestamp(interrupt.expires_at_ms),
            **_action_view(interrupt),
        )
        for interrupt in asked
    ]


def _action_view(interrupt: Interrupt) -> dict[str, Any]:
    call = interrupt.call
    if call is None or interrupt.kind is not InterruptKind.APPROVAL:
        return {}
    return {"tool": call.tool, "arguments": value_of(call.arguments)}


def timeline_view(history: History) -> StepListView:
    """The timeline of a task."""
    task, results = history.task, history.results
    inherited = len(results) - len(history.records)
    steps = [
        step_view(record, task, source_of(task.rating, results[: inherited + i]))
        for i, (before, record) in enumerate(pairwise((None, *history.records)))
        if record is not None and is_step(record, before)
    ]
    return StepListView(
        task_id=task.ref.task_id,
        steps=steps,
        parent=parent_view(task),
        cached_steps=sum(step.cached is not None for step in steps),
        decisions=[
            decision_view(record, record.result.decision)
            for record in history.records
            if record.result.decision is not None
        ],
    )


def is_step(record: StepRecord, before: StepRecord | None) -> bool:
    """Whether a record of the log is a step: a cancel takes a number but is none, and nor is a decision."""
    counted = 0 if before is None else before.totals.steps
    return record.totals.steps > counted or _made_calls(record)


def _made_calls(record: StepRecord) -> bool:
    told = {message.content for message in record.result.messages}
    is_closing = told <= {NOT_MADE, UNHEARD}  # the last words of a task on calls that were not made
    return record.result.purpose is Purpose.CALLS and not is_closing


def decision_view(record: StepRecord, decision: Decision) -> DecisionView:
    """What was decided with this record."""
    arguments = None if decision.arguments is None else value_of(decision.arguments)
    return DecisionView(
        interrupt_id=decision.interrupt_id,
        answer=decision.answer,
        arguments=arguments,
        reason=decision.reason or None,
        decided_by=decision.by or None,
        decided_at=timestamp(record.finished_at_ms),
    )


def list_view(page: Page, next_cursor: str | None) -> TaskListView:
    """A page of a task list."""
    return TaskListView(tasks=summary_views(page.tasks), next_cursor=next_cursor)


def summary_views(tasks: Iterable[TaskSummary]) -> list[TaskSummaryView]:
    """Tasks as lines of a list."""
    return [
        TaskSummaryView(
            task_id=t.task_id,
            status=t.status,
            agent=t.agent,
            user_id=t.user_id,
            created_at=timestamp(t.created_at_ms),
            updated_at=timestamp(t.updated_at_ms),
        )
        for t in tasks
    ]


def agent_view(agent: AgentInfo) -> AgentView:
    """A deployed agent."""
    return AgentView(
        name=agent.name,
        version=agent.version,
        description=agent.description,
        policy=agent.policy,
        tools=list(agent.tools),
        limits=limits_view(agent.limits),
    )


def limits_view(limits: TaskLimits) -> LimitsView:
    """Limits in force."""
    return LimitsView(
        max_cost_usd=limits.max_cost_usd,
        max_steps=limits.max_steps,
        max_tokens=limits.max_tokens,
        deadline_seconds=limits.deadline_seconds,
    )


def _cost_view(tip: History, functions: Functions) -> CostView:
    models, bill = tip.totals.cost_microusd * 1000, aws_side(tip, functions)
    return CostView(
        models_usd=models / NANO,
        aws_usd=bill.usd,
        total_usd=(models + bill.nanousd) / NANO,
        aws={service.value: nano / NANO for service, nano in bill.by_service().items()},
    )


def parent_view(task: Task) -> ParentView | None:
    """Which task it was forked from."""
    fork = task.fork
    return None if fork is None else ParentView(task_id=fork.parent_task_id, step=fork.step)


def step_view(record: StepRecord, task: Task, rated_by: ComplexitySource | None) -> StepView:
    """A step; `rated_by` is who had rated the task by then."""
    result = record.result
    return StepView(
        number=record.number,
        type=result.type,
        complexity=result.complexity,
        purpose=result.purpose,
        route=result.route,
        model=result.model,
        reason=result.reason,
        agent_version=result.agent_version or task.agent_version,
        complexity_source=rated_by,
        tools=[
            ToolRunView(call_id=r.call_id, name=r.name, ok=r.ok, duration_ms=r.milliseconds)
            for r in result.tool_runs
        ],
        usage=usage_view(result.usage),
        expected_cached_tokens=result.expected_cached_tokens,
        cost_usd=usd(result.charged.microusd),
        lost_cost_usd=usd(result.lost.microusd),
        lost_tokens=result.lost.tokens,
        attempt=record.attempt,
        started_at=timestamp(record.started_at_ms),
        duration_ms=record.finished_at_ms - record.started_at_ms,
        cached=_cache_kind(result),
        cached_from=None
        if result.similar is None
        else CachedFromView(task_id=result.similar.task_id, similarity=result.similar.similarity),
    )


def _cache_kind(result: StepResult) -> CacheKind | None:
    if result.similar is not None:
        return CacheKind.SEMANTIC
    return CacheKind.EXACT if result.is_cached else None


def usage_view(usage: Usage) -> UsageView:
    """Tokens."""
    return UsageView(
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )


def usd(microusd: int) -> float:
    """Dollars, of micro-dollars."""
    return microusd / 1_000_000
