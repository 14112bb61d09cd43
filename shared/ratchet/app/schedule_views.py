"""How schedules look from outside."""

from collections.abc import Sequence
from typing import Any

from ratchet.contracts.schedule_api import (
    LastRunView,
    ScheduleListView,
    ScheduleSummaryView,
    ScheduleView,
)
from ratchet.contracts.task_api import ErrorView, TaskRequest
from ratchet.domain.rfc3339 import timestamp
from ratchet.domain.schedule import LastRun, Schedule


def schedule_view(schedule: Schedule, *, now_ms: int) -> ScheduleView:
    """One schedule, with the task that it submits."""
    task = TaskRequest.model_validate_json(schedule.task)
    return ScheduleView(**_summary(schedule, now_ms), task=task)


def schedules_view(
    schedules: Sequence[Schedule], next_cursor: str | None, *, now_ms: int
) -> ScheduleListView:
    """A page of them."""
    return ScheduleListView(
        schedules=[ScheduleSummaryView(**_summary(schedule, now_ms)) for schedule in schedules],
        next_cursor=next_cursor,
    )


def _summary(schedule: Schedule, now_ms: int) -> dict[str, Any]:
    timing = schedule.timing
    return {
        "schedule_id": schedule.schedule_id,
        "name": schedule.name,
        "status": schedule.status(now_ms=now_ms),
        "schedule_expression": timing.expression,
        "timezone": timing.timezone,
        "start_at": None if timing.start_ms is None else timestamp(timing.start_ms),
        "end_at": None if timing.end_ms is None else timestamp(timing.end_ms),
        "agent": schedule.agent,
        "user_id": schedule.user_id,
        "created_at": timestamp(schedule.created_at_ms),
        "runs": schedule.runs,
        "last_run": None if schedule.last_run is None else _run_view(schedule.last_run),
    }


def _run_view(run: LastRun) -> LastRunView:
    error = None if run.code is None else ErrorView(code=run.code, message=run.message or "")
    return LastRunView(scheduled_at=run.scheduled_at, task_id=run.task_id, error=error)
