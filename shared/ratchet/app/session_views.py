"""How sessions look from outside."""

from collections.abc import Sequence

from ratchet.app.sessions import Deleted
from ratchet.app.task_views import summary_views
from ratchet.contracts.session_report import (
    DeletedSessionView,
    SessionListView,
    SessionSummaryView,
    SessionView,
)
from ratchet.domain.messages import BYTES_PER_TOKEN
from ratchet.domain.rfc3339 import timestamp
from ratchet.domain.session import Session
from ratchet.session_ports import SessionPage


def session_view(session: Session, page: SessionPage, next_cursor: str | None) -> SessionView:
    """A session with a page of its tasks."""
    return SessionView(
        session_id=session.session_id,
        running_task_id=session.holder,
        waiting_task_ids=[waiter.task_id for waiter in session.line],
        history_task_ids=[turn.task_id for turn in session.turns],
        history_tokens=_tokens(session),
        tasks=summary_views(page.tasks),
        next_cursor=next_cursor,
    )


def sessions_view(sessions: Sequence[Session], next_cursor: str | None) -> SessionListView:
    """A page of sessions."""
    return SessionListView(
        sessions=[
            SessionSummaryView(
                session_id=session.session_id,
                running_task_id=session.holder,
                waiting_tasks=len(session.line),
                history_tokens=_tokens(session),
                updated_at=timestamp(session.updated_at_ms),
            )
            for session in sessions
        ],
        next_cursor=next_cursor,
    )


def _tokens(session: Session) -> int:
    return sum(turn.size for turn in session.turns) // BYTES_PER_TOKEN


def deleted_view(deleted: Deleted) -> DeletedSessionView:
    """What was deleted."""
    return DeletedSessionView(
        session_id=deleted.session_id,
        deleted_task_ids=list(deleted.task_ids),
        deleted_items=deleted.items,
    )
