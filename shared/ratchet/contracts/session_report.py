"""Answers of the HTTP API about sessions."""

from ratchet.contracts.task_api import TaskSummaryView
from ratchet.contracts.wire import Answer


class SessionView(Answer):
    """What `GET /v1/sessions/{session_id}` answers: a page of its tasks, newest first.

    `running_task_id` holds the session, `waiting_task_ids` come after it in this order, and the next task is told of
    the ended ones in `history_task_ids`, oldest first, in about `history_tokens` tokens.
    """

    session_id: str
    running_task_id: str | None
    waiting_task_ids: list[str]
    history_task_ids: list[str]
    history_tokens: int
    tasks: list[TaskSummaryView]
    next_cursor: str | None


class SessionSummaryView(Answer):
    """A session in a list."""

    session_id: str
    running_task_id: str | None
    waiting_tasks: int
    history_tokens: int
    updated_at: str


class SessionListView(Answer):
    """What `GET /v1/sessions` answers: in the order of their ids."""

    sessions: list[SessionSummaryView]
    next_cursor: str | None


class DeletedSessionView(Answer):
    """What `DELETE /v1/sessions/{session_id}` deleted: tasks with all they said and did, in how many items."""

    session_id: str
    deleted_task_ids: list[str]
    deleted_items: int
