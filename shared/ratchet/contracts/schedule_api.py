"""Requests and answers of the HTTP API about schedules: tasks that are submitted later, or again and again."""

from typing import Annotated

from pydantic import Field, StringConstraints

from ratchet.contracts import limits
from ratchet.contracts.names import ScheduleStatus
from ratchet.contracts.task_api import ErrorView, TaskRequest
from ratchet.contracts.wire import Answer, Moment, Request, ShortText

Expression = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=limits.MAX_SCHEDULE_EXPRESSION_CHARS
    ),
    Field(
        description="As EventBridge Scheduler has it: `rate(...)`, `cron(...)` of six fields, or `at(...)`.",
        examples=["rate(1 hour)", "cron(0 9 ? * MON-FRI *)", "at(2027-01-31T09:00:00)"],
    ),
]
Timezone = Annotated[
    str,
    StringConstraints(min_length=1, max_length=limits.MAX_TIMEZONE_CHARS),
    Field(
        description="The IANA time zone of `cron(...)` and `at(...)`.", examples=["Europe/Berlin"]
    ),
]


class ScheduleRequest(Request):
    """Body of `POST /v1/schedules`. Each time, `task` is submitted as `POST /v1/tasks` would.

    `rate(...)` runs at once, or at `start_at`, and then at its pace; nothing runs after `end_at`. `at(...)` runs once.
    """

    schedule_expression: Expression
    timezone: Timezone = "UTC"
    start_at: Moment | None = None
    end_at: Moment | None = None
    name: ShortText | None = None
    task: TaskRequest


class LastRunView(Answer):
    """What came of the newest run: the task that it submitted, or why there is none."""

    scheduled_at: str
    task_id: str | None
    error: ErrorView | None


class ScheduleSummaryView(Answer):
    """A schedule in a list. `agent` is null where the deployment's default runs; `runs` counts those that were due."""

    schedule_id: str
    name: str | None
    status: ScheduleStatus
    schedule_expression: str
    timezone: str
    start_at: str | None
    end_at: str | None
    agent: str | None
    user_id: str | None
    created_at: str
    runs: int
    last_run: LastRunView | None


class ScheduleView(ScheduleSummaryView):
    """A schedule as `GET /v1/schedules/{schedule_id}` shows it, with the task that it submits."""

    task: TaskRequest


class ScheduleListView(Answer):
    """A page of schedules, newest first; `next_cursor` is null on the last page."""

    schedules: list[ScheduleSummaryView]
    next_cursor: str | None
