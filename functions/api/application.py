"""The HTTP API as one application: its routes, its OpenAPI document, and what it answers when something goes wrong."""

import json
from http import HTTPStatus

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from functions.api.access import methods_of
from functions.api.current import identity
from functions.api.openapi_parts import completed
from functions.api.problems import from_request_error, from_validation, problem
from functions.api.routes import (
    batches,
    deliveries,
    deployment,
    interrupts,
    links,
    memory,
    schedules,
    sessions,
    tasks,
    usage,
)
from ratchet.contracts.access import Identity
from ratchet.contracts.errors import DataMissing, NewerRelease, RetryableError
from ratchet.contracts.names import API_VERSION
from ratchet.contracts.request_errors import RequestError, ServiceUnavailable
from ratchet.observability import logger

app = APIGatewayHttpResolver(enable_validation=True)
for resource in (
    tasks,
    batches,
    schedules,
    interrupts,
    links,
    sessions,
    memory,
    deliveries,
    usage,
    deployment,
):
    app.include_router(resource.routes)

API_KEYS = Identity()


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
    return json.dumps(completed(document, callers))


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


@app.exception_handler(NewerRelease)
def on_newer_release(error: NewerRelease) -> Response[str]:
    """What is stored of the task was written by code that was replaced by older code."""
    logger.error("task of a newer release", extra={"error": error.code})
    detail = "this deployment is older than the one that wrote the task; ask whoever runs it to deploy that one again"
    return problem(503, error.code, "The task needs a newer release", detail=detail)


@app.exception_handler(RetryableError)
def on_unavailable(error: RetryableError) -> Response[str]:
    """A service behind the api did not answer."""
    logger.warning("service unavailable", extra={"error": error.code})
    return from_request_error(ServiceUnavailable("send the same request again in a moment"))


@app.not_found
def on_unknown_route(_: Exception) -> Response[str]:
    """No such route, or not by this method."""
    event = app.current_event
    allowed = methods_of(event.path)
    if allowed and event.http_method not in allowed:
        detail = f"{event.path} takes {', '.join(allowed)}"
        answer = problem(405, "method_not_allowed", "Method not allowed", detail=detail)
        answer.headers["Allow"] = ", ".join(allowed)
        return answer
    detail = f"{app.current_event.http_method} {app.current_event.path} is not part of the API"
    return problem(404, "not_found", "Not found", detail=f"{detail}; see /v1/openapi.json")


@app.exception_handler(Exception)
def on_bug(error: Exception) -> Response[str]:
    """A bug of ours: logged whole, answered without details."""
    logger.exception("unhandled error", extra={"error": type(error).__name__})
    detail = "an unexpected error was logged; the same request may work later"
    return problem(500, "internal", "Internal error", detail=detail)
