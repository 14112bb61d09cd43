"""What all requests and answers of the HTTP API, v1, have in common."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
)

ShortText = Annotated[str, StringConstraints(min_length=1, max_length=128)]


def _written_out(text: object) -> object:
    """What says a date: pydantic would take any number for seconds since the epoch."""
    if not isinstance(text, str) or not re.match(r"\d{4}-\d\d-\d\d[Tt]", text):
        raise ValueError("write it as 2026-11-22T08:00:00Z")
    return text


def _within_years(moment: datetime) -> datetime:
    """As it is, if it can be told in UTC, too: the last hours of year 9999 west of Greenwich cannot."""
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("it lies outside the years 1 to 9999 in UTC") from None
    return moment


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_within_years)]


class Request(BaseModel):
    """A body of the API: a field that it does not know is refused, so that a slip of the pen is not passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """What the API answers."""

    model_config = ConfigDict(frozen=True)
