"""How the HTTP API answers when it cannot do what was asked."""

from pydantic import Field

from ratchet.contracts.wire import Answer


class FieldProblem(Answer):
    """One thing that is wrong with a request."""

    field: str
    message: str


class Problem(Answer):
    """RFC 9457 problem details; `code` is stable, `detail` says what to do, `task_id` which task is in the way."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem] = Field(default_factory=list)
    task_id: str | None = None
