"""What is refused of a body before anything parses it: too large, or no JSON that could be read."""

import base64
import json
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response

from functions.api.problems import problem
from ratchet.contracts import limits
from ratchet.contracts.request_errors import BodyTooLarge, InvalidRequest

_JSON = "application/json"
_TOO_DEEP = (
    f"the body is nested more than {limits.MAX_BODY_DEPTH} levels deep; "
    "no request of this API needs that"
)


def refusal(event: dict[str, Any]) -> Response[str] | None:
    """The answer to a request whose body cannot be one of ours; None if it may be."""
    body = event.get("body") or ""
    size = len(body.encode())
    if event.get("isBase64Encoded"):
        size = size * 3 // 4
    if size > limits.MAX_BODY_BYTES:
        return _too_large(size)
    http = event["requestContext"]["http"]
    if not _takes_json(http["method"], http["path"]):
        return None
    return _unreadable(event)


def _takes_json(method: str, path: str) -> bool:
    """Whether the route reads its body: submit, batches, schedules, resume, fork, decisions and memories do."""
    if method == "PUT":
        return True
    reads = (
        path in ("/v1/tasks", "/v1/batches", "/v1/schedules")
        or path.endswith(("/resume", "/fork"))
        or "/interrupts/" in path
    )
    return method == "POST" and reads


def _unreadable(event: dict[str, Any]) -> Response[str] | None:
    """Powertools answers 500 to all of these, but leaves plain syntax errors to its validation."""
    if not event.get("headers", {}).get("content-type", _JSON).strip().startswith(_JSON):
        return _invalid(f"send the body as JSON, with the header content-type: {_JSON}")
    body = event.get("body") or ""
    if not body:
        return None
    try:
        text = base64.b64decode(body).decode() if event.get("isBase64Encoded") else body
        data = json.loads(text)
    except UnicodeDecodeError:
        why = "the body is not UTF-8; send JSON in UTF-8"
    except json.JSONDecodeError:
        return None
    except RecursionError:
        why = _TOO_DEEP
    except ValueError:
        why = "the body holds a number with too many digits; send a smaller one"
    else:
        return _unfit(data)
    return _invalid(why)


def _unfit(data: Any) -> Response[str] | None:
    if data is None:  # where a body may be left out, the framework would take this for none
        return _invalid("the body is null; send a JSON object")
    return _invalid(_TOO_DEEP) if _is_deep(data) else None


def _is_deep(data: Any) -> bool:
    """Whether arrays and objects lie in each other beyond the limit; whatever the interpreter's own limit is."""
    level = [data] if isinstance(data, dict | list) else []
    for _ in range(limits.MAX_BODY_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _too_large(size: int) -> Response[str]:
    detail = f"the body has {size} bytes; the limit is {limits.MAX_BODY_BYTES}"
    return problem(BodyTooLarge.status, BodyTooLarge.code, BodyTooLarge.title, detail=detail)


def _invalid(detail: str) -> Response[str]:
    return problem(HTTPStatus.BAD_REQUEST, InvalidRequest.code, InvalidRequest.title, detail=detail)
