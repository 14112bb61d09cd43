"""Requests and answers of the HTTP API about batches: many tasks at once."""

from typing import Annotated

from pydantic import Field

from ratchet.contracts.limits import MAX_BATCH_TASKS
from ratchet.contracts.task_api import GoalRequest, TaskSummaryView
from ratchet.contracts.wire import Answer, Request


class BatchRequest(Request):
    """Body of `POST /v1/batches`. All tasks are accepted or none; they run on their own, and belong to no session."""

    tasks: Annotated[list[GoalRequest], Field(min_length=1, max_length=MAX_BATCH_TASKS)]


class BatchView(Answer):
    """A batch and how far it is: how many tasks have each status, and the tasks in the order of the request.

    `erased` are those that are no longer kept. `is_over` once all have ended. `cost_usd` is what models cost of those
    that have ended or ask a person.
    """

    batch_id: str
    created_at: str
    total: int
    statuses: dict[str, int]
    erased: int
    is_over: bool
    cost_usd: float
    tasks: list[TaskSummaryView]
