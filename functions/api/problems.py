"""Errors as RFC 9457 problem details, with a stable code and a detail that says what to do."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response

from ratchet.contracts.problem import FieldProblem, Problem
from ratchet.contracts.request_errors import RequestError, SessionBusy, TooManyRequests
from ratchet.domain.messages import valid_text

CONTENT_TYPE = "application/problem+json"
_TYPES = "urn:ratchet:problem:"


def problem(
    status: int,
    code: str,
    title: str,
    *,
    detail: str,
    errors: Sequence[FieldProblem] = (),
    task_id: str | None = None,
) -> Response[str]:
    """One problem answer."""
    body = Problem(
        type=_TYPES + code,
        title=title,
        status=status,
        detail=valid_text(detail),  # it may quote what the caller sent
        code=code,
        errors=list(errors),
        task_id=task_id,
    )
    return Response(status, content_type=CONTENT_TYPE, body=body.model_dump_json(exclude_none=True))


def from_request_error(error: RequestError) -> Response[str]:
    """The answer to an error that the caller can act on."""
    task_id = error.task_id if isinstance(error, SessionBusy) else None
    answer = problem(error.status, error.code, error.title, detail=str(error), task_id=task_id)
    if isinstance(error, TooManyRequests):
        answer.headers["Retry-After"] = str(error.retry_after_seconds)
    return answer


def from_validation(errors: Sequence[dict[str, Any]]) -> Response[str]:
    """The answer to a request that does not fit the schema: one line per field."""
    found = [_field_problem(error) for error in errors]
    detail = "; ".join(f"{p.field}: {p.message}" for p in found[:5])
    return problem(
        HTTPStatus.BAD_REQUEST,
        "invalid_request",
        "The request is not valid",
        detail=f"{detail}. See /v1/openapi.json for the schema.",
        errors=found,
    )


def _field_problem(error: dict[str, Any]) -> FieldProblem:
    location = [str(part) for part in error.get("loc", ()) if part != "body"]
    field = ".".join(location) or "body"
    match str(error.get("type", "")):
        case "json_invalid":
            reason = (error.get("ctx") or {}).get("error", "malformed")
            return FieldProblem(field="body", message=f"is not valid JSON ({reason})")
        case "extra_forbidden":
            return FieldProblem(field=field, message="unknown field; remove it")
        case "missing":
            return FieldProblem(field=field, message="is required")
        case "string_unicode":
            message = "holds half of a surrogate pair (\\ud800 to \\udfff), which is no character"
            return FieldProblem(field=field, message=message)
        case _:
            return FieldProblem(field=field, message=str(error.get("msg", "invalid")))
