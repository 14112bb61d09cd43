"""Requests and answers of the HTTP API about interrupts: what tasks ask people, and what people decide."""

from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from ratchet.contracts import limits as bounds
from ratchet.contracts.names import InterruptKind
from ratchet.contracts.wire import Answer, Request

Words = Annotated[str, StringConstraints(min_length=1, max_length=bounds.MAX_ANSWER_CHARS)]


class DecisionRequest(Request):
    """Body of `POST /v1/tasks/{task_id}/interrupts/{interrupt_id}`: `{answer}`, or a `decision` about an approval.

    `answer` is one of the question's `choices`, or any text where it has none. `edit` lets the tool be called with
    `arguments` in place of the agent's. `reason` is told to the agent when its call is rejected.
    """

    decision: Literal["answer", "approve", "reject", "edit"] = "answer"
    answer: Words | None = None
    arguments: dict[str, Any] | None = None
    reason: Words | None = None


class InterruptView(Answer):
    """A question that waits for a person; `choices` are the answers that are taken, any text where there are none.

    Of an approval, `tool` and `arguments` are exactly what would be called.
    """

    id: str
    task_id: str
    kind: InterruptKind
    question: str
    choices: list[str]
    expires_at: str
    tool: str | None = None
    arguments: Any | None = None


class InterruptListView(Answer):
    """What `GET /v1/interrupts` answers, newest task first; `next_cursor` is null on the last page."""

    interrupts: list[InterruptView]
    next_cursor: str | None
