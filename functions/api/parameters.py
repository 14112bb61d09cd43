"""The query parameters and headers that several routes take."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Header, Query

from ratchet.contracts import limits

IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key")]
WaitSeconds = Annotated[
    int,
    Query(ge=0, le=limits.MAX_WAIT_SECONDS, description="Hold the answer until the task ends."),
]
PageSize = Annotated[int, Query(ge=1, le=limits.MAX_PAGE_SIZE)]
Cursor = Annotated[str | None, Query(description="The `next_cursor` of the page before.")]
