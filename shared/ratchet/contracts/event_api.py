"""Answers of the HTTP API about events: what happened to a task, in order."""

from typing import Any

from pydantic import Field

from ratchet.contracts.names import TaskStatus
from ratchet.contracts.wire import Answer


class TaskEventView(Answer):
    """Something that happened to a task. What is announced has the id and the data that its webhook has.

    `task.created`, `task.resumed`, `step.completed`, `interrupt.requested`, `interrupt.decided`, `budget.warning`, and
    `task.succeeded`, `task.failed`, `task.cancelled`, `task.timed_out` or `task.budget_exceeded`.
    """

    id: str = Field(examples=["evt_01KAQ4Y2D6W3V9K5T8Z0N1B7CF_3_step_completed"])
    type: str = Field(examples=["step.completed"])
    timestamp: str
    data: dict[str, Any]


class TaskEventListView(Answer):
    """What `GET /v1/tasks/{task_id}/events` answers, oldest first.

    `next_cursor` goes on after these, also at the end: more may come. Once `status` is terminal and there are no
    events, none will, unless the task is resumed.
    """

    task_id: str
    status: TaskStatus
    events: list[TaskEventView]
    next_cursor: str
