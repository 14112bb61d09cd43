"""Tasks: submit, read, list, stop, go on, fork."""

from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from functions.api.current import Routes, use_cases
from functions.api.parameters import Cursor, IdempotencyKey, PageSize, WaitSeconds
from functions.api.task_answers import accepted, shown
from ratchet.app.list_tasks import TaskQuery
from ratchet.app.task_views import list_view, timeline_view
from ratchet.contracts import limits
from ratchet.contracts.event_api import TaskEventListView
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.session_id import SessionId
from ratchet.contracts.step_api import StepListView
from ratchet.contracts.task_api import (
    ForkRequest,
    ResumeRequest,
    TaskListView,
    TaskRequest,
    TaskView,
)
from ratchet.contracts.wire import Moment

routes = Routes()

EMPTY_RESUME = ResumeRequest()
EMPTY_FORK = ForkRequest()
_FROM = "Made at this time (RFC 3339) or later."
_UNTIL = "Made before this time."


@routes.post(
    "/v1/tasks",
    status_code=HTTPStatus.ACCEPTED,
    summary="Submit a goal",
    operation_id="submitTask",
    tags=["tasks"],
)
def submit_task(
    body: TaskRequest, wait: WaitSeconds = 0, idempotency_key: IdempotencyKey = None
) -> Response[TaskView]:
    """Accept a goal; the answer names the task to poll."""
    caller = routes.caller
    body = caller.acting(body)
    created = use_cases().submit(body, tenant=caller.tenant, idempotency_key=idempotency_key)
    return accepted(created, wait)


@routes.get("/v1/tasks/<task_id>", summary="Read a task", operation_id="getTask", tags=["tasks"])
def get_task(task_id: str, wait: WaitSeconds = 0) -> TaskView:
    """Status, progress, result, error, usage and cost of a task."""
    return shown(use_cases().read.tip(TaskRef(routes.tenant, task_id), wait_seconds=wait))


@routes.get("/v1/tasks", summary="List tasks", operation_id="listTasks", tags=["tasks"])
def list_tasks(  # noqa: PLR0913 - of a model with these fields the document would tell names only, not types
    *,
    status: TaskStatus | None = None,
    agent: str | None = None,
    user_id: str | None = None,
    session_id: SessionId | None = None,
    created_after: Annotated[Moment | None, Query(description=_FROM)] = None,
    created_before: Annotated[Moment | None, Query(description=_UNTIL)] = None,
    limit: PageSize = limits.DEFAULT_PAGE_SIZE,
    cursor: Cursor = None,
) -> TaskListView:
    """Your tasks, newest first."""
    where = TaskQuery(status, agent, user_id, session_id, created_after, created_before)
    lists = use_cases().lists
    return list_view(*lists.page(routes.tenant, where=where, limit=limit, cursor=cursor))


@routes.get(
    "/v1/tasks/<task_id>/steps",
    summary="Read the timeline",
    operation_id="listSteps",
    tags=["tasks"],
)
def list_steps(task_id: str) -> StepListView:
    """Every committed step: type, route and reason, model, tools, tokens, dollars, timings."""
    return timeline_view(use_cases().read.timeline(TaskRef(routes.tenant, task_id)))


@routes.get(
    "/v1/tasks/<task_id>/events",
    summary="Read what happened",
    operation_id="listEvents",
    tags=["tasks"],
)
def list_events(
    task_id: str,
    after: Annotated[str | None, Query(description="The `next_cursor` of an answer.")] = None,
    limit: PageSize = limits.DEFAULT_PAGE_SIZE,
    wait: Annotated[
        int,
        Query(
            ge=0, le=limits.MAX_WAIT_SECONDS, description="Hold the answer until there is an event."
        ),
    ] = 0,
) -> TaskEventListView:
    """The timeline as events, oldest first; ask again with `next_cursor` for those to come."""
    ref = TaskRef(routes.tenant, task_id)
    return use_cases().events(ref, after=after, limit=limit, wait_seconds=wait)


@routes.post(
    "/v1/tasks/<task_id>/cancel", summary="Cancel a task", operation_id="cancelTask", tags=["tasks"]
)
def cancel_task(task_id: str) -> TaskView:
    """End a task as `cancelled`; a second cancel gets the same answer."""
    ref = TaskRef(routes.tenant, task_id)
    use_cases().read.tip(ref)
    return shown(use_cases().cancel(ref))


@routes.post(
    "/v1/tasks/<task_id>/resume", summary="Resume a task", operation_id="resumeTask", tags=["tasks"]
)
def resume_task(task_id: str, body: ResumeRequest = EMPTY_RESUME) -> TaskView:
    """Go on from the last committed step after a failure; limits may be raised up to the agent's own."""
    ref = TaskRef(routes.tenant, task_id)
    use_cases().read.tip(ref)
    return shown(use_cases().resume(ref, body))


@routes.post(
    "/v1/tasks/<task_id>/fork",
    status_code=HTTPStatus.ACCEPTED,
    summary="Fork a task",
    operation_id="forkTask",
    tags=["tasks"],
)
def fork_task(
    task_id: str,
    body: ForkRequest = EMPTY_FORK,
    wait: WaitSeconds = 0,
    idempotency_key: IdempotencyKey = None,
) -> Response[TaskView]:
    """A new task that goes on from a committed step of this one, with another model, instruction or tool answer."""
    caller = routes.caller
    parent = TaskRef(caller.tenant, task_id)
    caller.fork_of(use_cases().read.tip(parent).task.user_id)
    return accepted(use_cases().fork(parent, body, idempotency_key=idempotency_key), wait)
