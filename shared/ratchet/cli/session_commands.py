"""sessions: list them, show one, delete one with all that its tasks said and did."""

from typing import Annotated

import typer

from ratchet.cli.client import ApiClient
from ratchet.cli.outcome import connect
from ratchet.cli.output import console, note, write_document
from ratchet.cli.task_commands import AsJson, print_tasks
from ratchet.contracts import limits
from ratchet.contracts.session_report import DeletedSessionView, SessionListView, SessionView
from ratchet.contracts.task_api import TaskListView

app = typer.Typer(no_args_is_help=True, help="Sessions: tasks that share history.")

SessionId = Annotated[str, typer.Argument(metavar="SESSION_ID")]


@app.command("list")
def list_sessions(
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = limits.DEFAULT_PAGE_SIZE,
    as_json: AsJson = False,
) -> None:
    """List the sessions that had a task in the last 30 days, by id."""
    with connect() as client:
        found = _sessions(client, limit)
    if as_json:
        write_document(found)
    else:
        _print_sessions(found)


@app.command()
def show(session_id: SessionId, *, as_json: AsJson = False) -> None:
    """Show who runs in a session, who waits, what the next task is told, and its newest tasks."""
    with connect() as client:
        found = client.ask(SessionView, "GET", client.path("sessions", session_id))
    if as_json:
        write_document(found)
        return
    out = console()
    out.print(f"session: {found.session_id}")
    out.print(f"running: {found.running_task_id or '-'}")
    out.print(f"waiting: {' '.join(found.waiting_task_ids) or '-'}")
    out.print(f"told:    {len(found.history_task_ids)} tasks, {found.history_tokens:,} tokens")
    out.print()
    print_tasks(TaskListView(tasks=found.tasks, next_cursor=None))
    if found.next_cursor is not None:
        note("It has older tasks too.")


@app.command()
def delete(session_id: SessionId, *, as_json: AsJson = False) -> None:
    """Delete a session's tasks with all that they said and did; refused while one has not ended."""
    with connect() as client:
        gone = client.ask(DeletedSessionView, "DELETE", client.path("sessions", session_id))
    if as_json:
        write_document(gone)
        return
    for task_id in gone.deleted_task_ids:
        print(task_id)
    note(f"Deleted {len(gone.deleted_task_ids)} tasks, {gone.deleted_items} items in all.")


def _sessions(client: ApiClient, limit: int) -> SessionListView:
    found = SessionListView(sessions=[], next_cursor=None)
    while True:
        size = min(limit - len(found.sessions), limits.MAX_PAGE_SIZE)
        query = {"limit": size, "cursor": found.next_cursor}
        page = client.ask(SessionListView, "GET", client.path("sessions"), query=query)
        both = found.sessions + page.sessions
        found = SessionListView(sessions=both, next_cursor=page.next_cursor)
        if page.next_cursor is None or len(both) >= limit:
            return found


def _print_sessions(found: SessionListView) -> None:
    from rich.table import Table  # noqa: PLC0415

    from ratchet.cli import timeline  # noqa: PLC0415

    if not found.sessions:
        note('No sessions. Begin one:  ratchet submit --session ID "..."')
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("session", "running", "waiting", "tokens", "changed"):
        table.add_column(title, no_wrap=title == "running")
    for session in found.sessions:
        table.add_row(
            session.session_id,
            session.running_task_id or "-",
            str(session.waiting_tasks),
            f"{session.history_tokens:,}",
            timeline.moment(session.updated_at),
        )
    console().print(table)
    if found.next_cursor is not None:
        note("There are more; ask for them with --limit.")
