"""Faults of the scripted model server, and the count of how often each was already played."""

import re
import threading
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ratchet.testing.model_conversation import Conversation
from ratchet.testing.model_errors import ApiError, bad_request


class FaultKind(StrEnum):
    """What goes wrong."""

    STATUS = "status"  # an error status, with Retry-After where given
    TIMEOUT = "timeout"  # the connection is held until the client gives up
    RESET = "reset"  # the connection is cut in the middle of the answer
    MALFORMED = "malformed"  # the body is not JSON
    MALFORMED_ARGUMENTS = "malformed_arguments"  # the arguments of a tool call are not JSON
    UNKNOWN_TOOL = "unknown_tool"  # a tool is called that was not on offer
    EMPTY = "empty"  # an answer without text or tool calls
    REFUSAL = "refusal"  # the model declines
    TRUNCATED = "truncated"  # finish_reason length
    CONTENT_FILTER = "content_filter"  # finish_reason content_filter
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"  # 400
    SLOW = "slow"  # the right answer, latency_ms later


# These change the answer instead of replacing it.
SPOILING = frozenset(
    {
        *(FaultKind.MALFORMED_ARGUMENTS, FaultKind.UNKNOWN_TOOL, FaultKind.EMPTY),
        *(FaultKind.REFUSAL, FaultKind.TRUNCATED, FaultKind.CONTENT_FILTER),
    }
)

_STATUS_ERRORS = {
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    429: ("Rate limit reached for {model}.", "requests", "rate_limit_exceeded"),
    500: ("The server had an error while processing your request.", "server_error", None),
    503: ("The engine is currently overloaded, please try again later.", "server_error", None),
}


class Fault(BaseModel):
    """A fault for the first `times` requests of each (conversation, turn) that it fits.

    A field left out fits everything; `model` and `goal` are regular expressions that must be found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind = FaultKind.STATUS
    model: re.Pattern[str] | None = None
    goal: re.Pattern[str] | None = None
    step: str | None = None
    turn: int | None = Field(default=None, ge=0)
    index: int | None = Field(default=None, ge=0)
    times: int = Field(default=1, ge=1)
    status: int | None = Field(default=None, ge=400, le=599)
    code: str | None = None
    retry_after: float | None = Field(default=None, ge=0)
    retry_after_ms: int | None = Field(default=None, ge=0)
    latency_ms: int = Field(default=0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _read_first_as_times(cls, data: Any) -> Any:
        if isinstance(data, dict) and "first" in data:
            renamed = {key: value for key, value in data.items() if key != "first"}
            return {**renamed, "times": data["first"]}
        return data

    @model_validator(mode="after")
    def _need_what_the_kind_needs(self) -> "Fault":
        if (self.kind is FaultKind.STATUS) != (self.status is not None):
            raise ValueError("give `status` for kind status, and for no other kind")
        if self.kind is FaultKind.SLOW and not self.latency_ms:
            raise ValueError("kind slow needs latency_ms")
        return self

    def fits(self, conversation: Conversation, model: str) -> bool:
        """Whether a request is one that this fault is meant for."""
        return (
            (self.model is None or self.model.search(model) is not None)
            and (self.goal is None or self.goal.search(conversation.goal) is not None)
            and self.step in {None, conversation.step}
            and self.turn in {None, conversation.turn}
            and self.index in {None, conversation.index}
        )

    def error(self, model: str) -> ApiError | None:
        """The refusal that this fault answers with, if it is a refusal."""
        if self.kind is FaultKind.CONTEXT_LENGTH_EXCEEDED:
            return context_length_exceeded("fewer tokens than you sent")
        if self.status is None:
            return None
        message, kind, code = _STATUS_ERRORS.get(
            self.status, ("The scripted model failed.", "server_error", None)
        )
        text = message.format(model=model)
        return ApiError(self.status, text, kind=kind, code=self.code or code)

    def headers(self) -> dict[str, str]:
        """The headers that tell the client when to come back."""
        headers = {}
        if self.retry_after is not None:
            headers["retry-after"] = f"{self.retry_after:g}"
        if self.retry_after_ms is not None:
            headers["retry-after-ms"] = str(self.retry_after_ms)
        return headers


def context_length_exceeded(limit: int | str) -> ApiError:
    """The refusal of a prompt that does not fit the model."""
    return bad_request(
        f"This model's maximum context length is {limit}. "
        "Please reduce the length of the messages.",
        param="messages",
        code="context_length_exceeded",
    )


class FaultBook:
    """The injected faults, and how often each fault was played per (conversation, turn)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._injected: list[tuple[str, Fault]] = []
        self._serial = 0
        self._played: Counter[tuple[str, str, int]] = Counter()

    def inject(self, fault: Fault) -> None:
        """Add a fault; the ones injected first are played first."""
        with self._lock:
            self._injected.append((f"injected {self._serial}", fault))
            self._serial += 1

    def clear(self) -> None:
        """Forget the injected faults; those of the scenarios stay."""
        with self._lock:
            self._injected.clear()

    def take(
        self, conversation: Conversation, model: str, scripted: Sequence[tuple[str, Fault]]
    ) -> Fault | None:
        """The fault to play on this request, counted as played."""
        with self._lock:
            for name, fault in (*self._injected, *scripted):
                place = (name, conversation.key, conversation.turn)
                if fault.fits(conversation, model) and self._played[place] < fault.times:
                    self._played[place] += 1
                    return fault
        return None
