"""Why the state machine gave a step up, as callers may read it: what it catches names our files, roles and account."""

import json
import re
from typing import Any

MAX_CAUSE_CHARS = 300
_ARN = re.compile(r"arn:[^\s\"',;)\]}]+")


def failure_text(failure: Any) -> str | None:
    """The name of the error, which comes first, and its cause; None if nothing was given up.

    A function's own error is JSON with a stack trace (https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html):
    of that the first line of its message is told. Its log tells the rest.
    """
    if failure is None:
        return None
    name, cause = str(failure.get("Error", "Unknown")), str(failure.get("Cause", ""))
    return f"{name}: {_ARN.sub('(an ARN)', _first_line(cause))[:MAX_CAUSE_CHARS]}"


def _first_line(cause: str) -> str:
    if not cause.lstrip().startswith("{"):
        return cause.strip().partition("\n")[0]
    try:
        message = json.loads(cause).get("errorMessage")
    except (ValueError, RecursionError):  # Step Functions cuts off what is very long
        return ""
    return str(message or "").strip().partition("\n")[0]
