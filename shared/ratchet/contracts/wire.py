"""What all requests and answers of the HTTP API, v1, have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

ShortText = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class Request(BaseModel):
    """A body of the API: a field that it does not know is refused, so that a slip of the pen is not passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """What the API answers."""

    model_config = ConfigDict(frozen=True)
