"""The query parameters and headers that several routes take."""

import re
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Header, Query
from pydantic import AwareDatetime, BeforeValidator

from ratchet.contracts import limits

IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key")]
WaitSeconds = Annotated[
    int,
    Query(ge=0, le=limits.MAX_WAIT_SECONDS, description="Hold the answer until the task ends."),
]
PageSize = Annotated[int, Query(ge=1, le=limits.MAX_PAGE_SIZE)]
Cursor = Annotated[str | None, Query(description="The `next_cursor` of the page before.")]


def _written_out(text: object) -> object:
    """What says a date: pydantic would take any number for seconds since the epoch."""
    if isinstance(text, str) and not re.match(r"\d{4}-\d\d-\d\d[Tt]", text):
        raise ValueError("write it as 2026-11-22T08:00:00Z")
    return text


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out)]
