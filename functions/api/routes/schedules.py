"""Schedules: tasks that are submitted later, or again and again."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response

from functions.api.current import Routes, use_cases
from functions.api.parameters import Cursor, IdempotencyKey, PageSize
from ratchet.app.schedule_views import schedule_view, schedules_view
from ratchet.contracts import limits
from ratchet.contracts.names import API_VERSION
from ratchet.contracts.schedule_api import ScheduleListView, ScheduleRequest, ScheduleView

routes = Routes()


@routes.post(
    "/v1/schedules",
    status_code=HTTPStatus.CREATED,
    summary="Create a schedule",
    operation_id="createSchedule",
    tags=["schedules"],
)
def create_schedule(
    body: ScheduleRequest, idempotency_key: IdempotencyKey = None
) -> Response[ScheduleView]:
    """Submit a task at a time, or again and again; what could not be submitted now is refused now."""
    caller, schedules = routes.caller, use_cases().schedules
    body = body.model_copy(update={"task": caller.acting(body.task)})
    schedule, is_replay = schedules.create(
        body, tenant=caller.tenant, idempotency_key=idempotency_key
    )
    headers = {"Location": f"/{API_VERSION}/schedules/{schedule.schedule_id}"}
    if is_replay:
        headers["Idempotent-Replay"] = "true"
    return Response(
        HTTPStatus.CREATED,
        content_type="application/json",
        body=schedule_view(schedule, now_ms=schedules.now_ms),
        headers=headers,
    )


@routes.get(
    "/v1/schedules", summary="List schedules", operation_id="listSchedules", tags=["schedules"]
)
def list_schedules(
    limit: PageSize = limits.DEFAULT_PAGE_SIZE, cursor: Cursor = None
) -> ScheduleListView:
    """Newest first, with what came of the last run of each."""
    schedules = use_cases().schedules
    found, following = schedules.list(routes.tenant, limit=limit, cursor=cursor)
    return schedules_view(found, following, now_ms=schedules.now_ms)


@routes.get(
    "/v1/schedules/<schedule_id>",
    summary="Read a schedule",
    operation_id="getSchedule",
    tags=["schedules"],
)
def get_schedule(schedule_id: str) -> ScheduleView:
    """When it runs, the task that it submits, and what came of the last run."""
    schedules = use_cases().schedules
    return schedule_view(schedules.read(routes.tenant, schedule_id), now_ms=schedules.now_ms)


@routes.delete(
    "/v1/schedules/<schedule_id>",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Delete a schedule",
    operation_id="deleteSchedule",
    tags=["schedules"],
)
def delete_schedule(schedule_id: str) -> Response[str]:
    """It runs no more; tasks that it has submitted go on. Deleting it again changes nothing."""
    use_cases().schedules.delete(routes.tenant, schedule_id)
    return Response(HTTPStatus.NO_CONTENT, body="")
