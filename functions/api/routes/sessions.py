"""Sessions: tasks that share history."""

from functions.api.current import Routes, use_cases
from functions.api.parameters import Cursor, PageSize
from ratchet.app.session_views import deleted_view, session_view, sessions_view
from ratchet.contracts import limits
from ratchet.contracts.session_report import DeletedSessionView, SessionListView, SessionView

routes = Routes()


@routes.get("/v1/sessions", summary="List sessions", operation_id="listSessions", tags=["sessions"])
def list_sessions(
    limit: PageSize = limits.DEFAULT_PAGE_SIZE, cursor: str | None = None
) -> SessionListView:
    """Those with a task of the last 30 days, in the order of their ids."""
    return sessions_view(*use_cases().sessions.list(routes.tenant, limit=limit, cursor=cursor))


@routes.get(
    "/v1/sessions/<session_id>",
    summary="Read a session",
    operation_id="getSession",
    tags=["sessions"],
)
def get_session(
    session_id: str, limit: PageSize = limits.DEFAULT_PAGE_SIZE, cursor: Cursor = None
) -> SessionView:
    """Who runs in it, who waits, what the next task is told, and its tasks, newest first."""
    found = use_cases().sessions.read(routes.tenant, session_id, limit=limit, cursor=cursor)
    return session_view(*found)


@routes.delete(
    "/v1/sessions/<session_id>",
    summary="Delete a session",
    operation_id="deleteSession",
    tags=["sessions"],
)
def delete_session(session_id: str) -> DeletedSessionView:
    """Delete its tasks with all that they said and did; refused while one of them has not ended."""
    return deleted_view(use_cases().sessions.delete(routes.tenant, session_id))
