"""Entry point of the HTTP API."""

import re
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.api import application, current
from functions.api.access import admit
from functions.api.problems import from_request_error
from functions.api.request_body import refusal
from ratchet.contracts.errors import RetryableError
from ratchet.contracts.request_errors import RequestError
from ratchet.observability import logger

_TASK = re.compile(r"/v1/tasks/(task_[0-9A-HJKMNP-TV-Z]{26})(?:/|$)")


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one API Gateway request (payload format 2.0)."""
    answer = _answered(event, context)
    # What is between us and the caller (CloudFront is, where there is a web front) may hold one caller's answer back
    # for another who asks for the same path, unless it is told not to:
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html
    answer["headers"].setdefault("Cache-Control", "no-store")
    return answer


def _answered(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    try:
        current.admit_front(event)
        caller = admit(event, current.identity())
        if caller is not None:
            logger.append_keys(tenant=caller.tenant, **_task(event))
            current.admit_rate(caller)
    except RequestError as refused:
        return _answer(from_request_error(refused))
    except RetryableError as gone:
        return _answer(application.on_unavailable(gone))
    except Exception as bug:  # noqa: BLE001 - the edge: what the resolver does with a bug behind it
        return _answer(application.on_bug(bug))
    if (unreadable := refusal(event)) is not None:
        return _answer(unreadable)
    application.app.append_context(caller=caller)  # type: ignore[no-untyped-call]
    return application.app.resolve(event, context)


def _task(event: dict[str, Any]) -> dict[str, str]:
    """The task that the path names, if that has the form of one of our ids: any other text is its caller's."""
    found = _TASK.match(str(event.get("rawPath")))
    return {"task_id": found[1]} if found else {}


def _answer(response: Response[str]) -> dict[str, Any]:
    return {
        "statusCode": response.status_code,
        "headers": {"Content-Type": response.content_type, **response.headers},
        "body": response.body,
        "isBase64Encoded": False,
    }
