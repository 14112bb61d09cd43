"""The routes of the HTTP API: parse, call one use case, map its result."""

import json
from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.params import Header, Query

from functions.api.caller import Caller
from functions.api.problems import from_request_error, from_validation, problem
from functions.api.security_schemes import with_security
from functions.api.wiring import wiring
from ratchet.app.delivery_views import dead_view, delivery_view
from ratchet.app.routing_view import routing_view
from ratchet.app.session_views import deleted_view, session_view
from ratchet.app.task_views import (
    agent_view,
    interrupt_views,
    list_view,
    task_view,
    timeline_view,
)
from ratchet.app.usage_views import report_view
from ratchet.contracts import limits
from ratchet.contracts.access import Identity
from ratchet.contracts.api import (
    AgentListView,
    DecisionRequest,
    ForkRequest,
    HealthView,
    InterruptListView,
    ResumeRequest,
    RoutingView,
    StepListView,
    TaskListView,
    TaskRequest,
    TaskView,
)
from ratchet.contracts.delivery_api import DeadDeliveryListView, DeliveryListView, DeliveryView
from ratchet.contracts.errors import (
    BadCredentials,
    DataMissing,
    RequestError,
    RetryableError,
    ServiceUnavailable,
)
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import API_VERSION, TaskStatus, UsageBy
from ratchet.contracts.session_report import DeletedSessionView, SessionView
from ratchet.contracts.usage_report import UsageReportView
from ratchet.delivery_log import Delivery
from ratchet.domain.task import History
from ratchet.observability import logger
from ratchet.ports import Created, ListFilter

app = APIGatewayHttpResolver(enable_validation=True)

API_KEYS = Identity()
EMPTY_RESUME = ResumeRequest()
EMPTY_FORK = ForkRequest()
_A_DAY = "A day in UTC: 2026-11-22."
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key")]
WaitSeconds = Annotated[
    int,
    Query(ge=0, le=limits.MAX_WAIT_SECONDS, description="Hold the answer until the task ends."),
]


def _caller() -> Caller:
    """Whom the gate has let in; where it has let in nobody, nobody gets on."""
    caller = app.context.get("caller")
    if not isinstance(caller, Caller):
        raise BadCredentials("this path names no route of the API; see /v1/openapi.json")
    return caller


def identity() -> Identity:
    """Who the callers of this deployment are."""
    return wiring().identity


def admit_rate(caller: Caller) -> None:
    """Count the request against its tenant's rate.

    Raises:
        TooManyRequests: the tenant has none left now.
    """
    if (gate := wiring().gate) is not None:
        gate(caller.tenant)


def _tenant() -> str:
    return _caller().tenant


def _task(tip: History) -> TaskView:
    return task_view(tip, wiring().sizes)


def _delivery(delivery: Delivery) -> DeliveryView:
    return delivery_view(delivery, now_ms=wiring().deliveries.clock.now_ms())


def _accepted(created: Created, wait: int) -> Response[TaskView]:
    """The answer to whoever made a task, or made it before with the same key."""
    ref = created.task.ref
    tip = History(created.task, created.state)
    if wait or created.is_replay:
        tip = wiring().read.tip(ref, wait_seconds=wait)
    headers = {"Location": f"/{API_VERSION}/tasks/{ref.task_id}"}
    if created.is_replay:
        headers["Idempotent-Replay"] = "true"
    return Response(
        HTTPStatus.ACCEPTED, content_type="application/json", body=_task(tip), headers=headers
    )


@app.post(
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
    caller = _caller()
    body = caller.acting(body)
    created = wiring().submit(body, tenant=caller.tenant, idempotency_key=idempotency_key)
    return _accepted(created, wait)


@app.get("/v1/tasks/<task_id>", summary="Read a task", operation_id="getTask", tags=["tasks"])
def get_task(task_id: str, wait: WaitSeconds = 0) -> TaskView:
    """Status, progress, result, error, usage and cost of a task."""
    return _task(wiring().read.tip(TaskRef(_tenant(), task_id), wait_seconds=wait))


@app.get("/v1/tasks", summary="List tasks", operation_id="listTasks", tags=["tasks"])
def list_tasks(
    status: TaskStatus | None = None,
    agent: str | None = None,
    user_id: str | None = None,
    limit: Annotated[int, Query(ge=1, le=limits.MAX_PAGE_SIZE)] = limits.DEFAULT_PAGE_SIZE,
    cursor: str | None = None,
) -> TaskListView:
    """Your tasks, newest first."""
    where = ListFilter(status=status, agent=agent, user_id=user_id)
    page, next_cursor = wiring().read.page(_tenant(), where=where, limit=limit, cursor=cursor)
    return list_view(page, next_cursor)


@app.get(
    "/v1/tasks/<task_id>/steps",
    summary="Read the timeline",
    operation_id="listSteps",
    tags=["tasks"],
)
def list_steps(task_id: str) -> StepListView:
    """Every committed step: type, route and reason, model, tools, tokens, dollars, timings."""
    return timeline_view(wiring().read.timeline(TaskRef(_tenant(), task_id)))


@app.post(
    "/v1/tasks/<task_id>/cancel", summary="Cancel a task", operation_id="cancelTask", tags=["tasks"]
)
def cancel_task(task_id: str) -> TaskView:
    """End a task as `cancelled`; a second cancel gets the same answer."""
    ref = TaskRef(_tenant(), task_id)
    wiring().read.tip(ref)
    return _task(wiring().cancel(ref))


@app.post(
    "/v1/tasks/<task_id>/resume", summary="Resume a task", operation_id="resumeTask", tags=["tasks"]
)
def resume_task(task_id: str, body: ResumeRequest = EMPTY_RESUME) -> TaskView:
    """Go on from the last committed step after a failure; limits may be raised up to the agent's own."""
    ref = TaskRef(_tenant(), task_id)
    wiring().read.tip(ref)
    return _task(wiring().resume(ref, body))


@app.get(
    "/v1/interrupts", summary="List open questions", operation_id="listInterrupts", tags=["tasks"]
)
def list_interrupts(
    limit: Annotated[int, Query(ge=1, le=limits.MAX_PAGE_SIZE)] = limits.DEFAULT_PAGE_SIZE,
    cursor: str | None = None,
) -> InterruptListView:
    """What your tasks ask people, newest task first; `limit` counts tasks."""
    tips, next_cursor = wiring().read.interrupts(_tenant(), limit=limit, cursor=cursor)
    interrupts = [view for tip in tips for view in interrupt_views(tip)]
    return InterruptListView(interrupts=interrupts, next_cursor=next_cursor)


@app.post(
    "/v1/tasks/<task_id>/interrupts/<interrupt_id>",
    summary="Answer a question",
    operation_id="decideInterrupt",
    tags=["tasks"],
)
def decide_interrupt(task_id: str, interrupt_id: str, body: DecisionRequest) -> TaskView:
    """The first answer counts; once none is missing, the task goes on."""
    caller = _caller()
    ref = TaskRef(caller.tenant, task_id)
    return _task(wiring().decide(ref, interrupt_id, body, by=caller.principal))


@app.post(
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
    parent = TaskRef(_tenant(), task_id)
    return _accepted(wiring().fork(parent, body, idempotency_key=idempotency_key), wait)


@app.get(
    "/v1/deliveries",
    summary="List dead deliveries",
    operation_id="listDeadDeliveries",
    tags=["deliveries"],
)
def list_dead_deliveries(
    limit: Annotated[int, Query(ge=1, le=limits.MAX_PAGE_SIZE)] = limits.DEFAULT_PAGE_SIZE,
    cursor: str | None = None,
) -> DeadDeliveryListView:
    """The announcements that were given up: ten tries failed, or the receiver wants no more."""
    page, next_cursor = wiring().deliveries.dead(_tenant(), limit=limit, cursor=cursor)
    return dead_view(page, next_cursor)


@app.get(
    "/v1/tasks/<task_id>/deliveries",
    summary="Read how a task was announced",
    operation_id="listDeliveries",
    tags=["deliveries"],
)
def list_deliveries(task_id: str) -> DeliveryListView:
    """Every event's way to SNS and to the webhook, with its tries and what came of them."""
    found = wiring().deliveries.of_task(TaskRef(_tenant(), task_id))
    return DeliveryListView(deliveries=[_delivery(delivery) for delivery in found])


@app.post(
    "/v1/tasks/<task_id>/deliveries/<delivery_id>/redeliver",
    status_code=HTTPStatus.ACCEPTED,
    summary="Send an announcement again",
    operation_id="redeliver",
    tags=["deliveries"],
)
def redeliver(task_id: str, delivery_id: str) -> Response[DeliveryView]:
    """The same id and body, ten tries to go, dead or not; a URL that answered 410 is used again."""
    sent = wiring().deliveries.redeliver(TaskRef(_tenant(), task_id), delivery_id)
    return Response(HTTPStatus.ACCEPTED, content_type="application/json", body=_delivery(sent))


@app.get(
    "/v1/sessions/<session_id>",
    summary="Read a session",
    operation_id="getSession",
    tags=["sessions"],
)
def get_session(
    session_id: str,
    limit: Annotated[int, Query(ge=1, le=limits.MAX_PAGE_SIZE)] = limits.DEFAULT_PAGE_SIZE,
    cursor: str | None = None,
) -> SessionView:
    """Who runs in it, who waits, what the next task is told, and its tasks, newest first."""
    return session_view(*wiring().sessions.read(_tenant(), session_id, limit=limit, cursor=cursor))


@app.delete(
    "/v1/sessions/<session_id>",
    summary="Delete a session",
    operation_id="deleteSession",
    tags=["sessions"],
)
def delete_session(session_id: str) -> DeletedSessionView:
    """Delete its tasks with all that they said and did; refused while one of them has not ended."""
    return deleted_view(wiring().sessions.delete(_tenant(), session_id))


@app.get("/v1/usage", summary="Read what was used", operation_id="getUsage", tags=["usage"])
def get_usage(
    from_: Annotated[str | None, Query(alias="from", description=_A_DAY)] = None,
    to: Annotated[str | None, Query(description=_A_DAY)] = None,
    by: UsageBy = UsageBy.DAY,
) -> UsageReportView:
    """Steps, tokens and model dollars of these days, both included; without days, the last thirty."""
    return report_view(wiring().usage(_tenant(), first_day=from_, last_day=to, by=by))


@app.get("/v1/agents", summary="List the agents", operation_id="listAgents", tags=["agents"])
def list_agents() -> AgentListView:
    """What is deployed."""
    _tenant()
    agents = wiring().agents
    return AgentListView(agents=[agent_view(a) for a in agents.all()], default_agent=agents.default)


@app.get("/v1/routes", summary="Read the routing table", operation_id="listRoutes", tags=["agents"])
def list_routes() -> RoutingView:
    """The models that a task submitted now would use, by step type and complexity."""
    _tenant()
    submit = wiring().submit
    return routing_view(submit.models, submit.routing)


@app.get("/v1/health", summary="Health", operation_id="health", tags=["service"])
def health() -> HealthView:
    """The function runs and its settings are complete."""
    wiring()
    return HealthView(status="ok", version=API_VERSION)


@app.get("/v1/openapi.json", include_in_schema=False)
def openapi() -> Response[str]:
    """This API's OpenAPI 3.1 document."""
    return Response(
        HTTPStatus.OK, content_type="application/json", body=openapi_document(identity())
    )


def openapi_document(callers: Identity = API_KEYS) -> str:
    """The OpenAPI document, generated from the routes and their models, as a deployment with such callers has it."""
    document = json.loads(
        app.get_openapi_json_schema(
            title="Ratchet", version=API_VERSION, description="Durable, cheap AI agents."
        )
    )
    return json.dumps(with_security(document, callers))


@app.exception_handler(RequestValidationError)
def on_invalid_request(error: RequestValidationError) -> Response[str]:
    """The request does not fit the schema."""
    return from_validation([dict(e) for e in error.errors()])


@app.exception_handler(RequestError)
def on_request_error(error: RequestError) -> Response[str]:
    """The caller can do something about it."""
    return from_request_error(error)


@app.exception_handler(DataMissing)
def on_data_missing(error: DataMissing) -> Response[str]:
    """What is stored of the task is gone or damaged: no try will find it."""
    logger.error("task cannot be read", extra={"error": error.code})
    detail = "what this task did is gone from the store or damaged, so it ends as failed; submit its goal again"
    return problem(HTTPStatus.GONE, error.code, "The task cannot be read", detail=detail)


@app.exception_handler(RetryableError)
def on_unavailable(error: RetryableError) -> Response[str]:
    """A service behind the api did not answer."""
    logger.warning("service unavailable", extra={"error": error.code})
    return from_request_error(ServiceUnavailable("send the same request again in a moment"))


@app.not_found
def on_unknown_route(_: Exception) -> Response[str]:
    """No such route."""
    detail = f"{app.current_event.http_method} {app.current_event.path} is not part of the API"
    return problem(404, "not_found", "Not found", detail=f"{detail}; see /v1/openapi.json")


@app.exception_handler(Exception)
def on_bug(error: Exception) -> Response[str]:
    """A bug of ours: logged whole, answered without details."""
    logger.exception("unhandled error", extra={"error": type(error).__name__})
    detail = "an unexpected error was logged; the same request may work later"
    return problem(500, "internal", "Internal error", detail=detail)
