"""schedules: make one, list them, show one, delete one."""

import secrets
import sys
from typing import Annotated

import typer

from ratchet.cli.client import ApiClient
from ratchet.cli.outcome import connect
from ratchet.cli.output import console, note, write_document
from ratchet.cli.submit_command import only_given
from ratchet.cli.task_commands import AsJson
from ratchet.contracts import limits
from ratchet.contracts.names import Json
from ratchet.contracts.schedule_api import (
    LastRunView,
    ScheduleListView,
    ScheduleSummaryView,
    ScheduleView,
)

app = typer.Typer(
    no_args_is_help=True, help="Schedules: goals that are submitted later, or again and again."
)

ScheduleId = Annotated[str, typer.Argument(metavar="SCHEDULE_ID")]


@app.command()
def create(  # noqa: PLR0913 - one parameter per option
    expression: Annotated[
        str,
        typer.Argument(
            metavar="EXPRESSION",
            help="rate(1 hour), cron(0 9 ? * MON-FRI *) or at(2027-01-31T09:00:00), in quotes.",
        ),
    ],
    goal: Annotated[
        str, typer.Argument(metavar="GOAL", help="What should be achieved; - reads it from stdin.")
    ],
    *,
    timezone: Annotated[str | None, typer.Option(help="IANA name, such as Europe/Berlin.")] = None,
    start: Annotated[
        str | None, typer.Option(help="Not before this time, as 2027-01-31T09:00:00Z.")
    ] = None,
    end: Annotated[str | None, typer.Option(help="Not after this time.")] = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    agent: Annotated[str | None, typer.Option(help="Agent; else the deployment's default.")] = None,
    user: Annotated[str | None, typer.Option(help="The user for whom it runs.")] = None,
    session: Annotated[str | None, typer.Option(help="All its tasks share history.")] = None,
    max_cost: Annotated[
        float | None, typer.Option(help="Most that each run may cost, in dollars.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key creates the schedule only once.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Submit a goal at a time, or again and again."""
    body: dict[str, Json] = {
        "schedule_expression": expression,
        "timezone": timezone,
        "start_at": start,
        "end_at": end,
        "name": name,
        "task": {
            "goal": sys.stdin.read() if goal == "-" else goal,
            "agent": agent,
            "user_id": user,
            "session_id": session,
            "limits": {"max_cost_usd": max_cost},
        },
    }
    key = idempotency_key or f"cli-{secrets.token_hex(16)}"
    with connect() as client:
        made = client.ask(
            ScheduleView,
            "POST",
            client.path("schedules"),
            json=only_given(body),
            headers={"Idempotency-Key": key},
        )
    if as_json:
        write_document(made)
        return
    print(f"{made.schedule_id}  {made.status.value}  {_when(made)}")
    note(f"See its runs:  ratchet schedules show {made.schedule_id}")


@app.command("list")
def list_schedules(
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = limits.DEFAULT_PAGE_SIZE,
    as_json: AsJson = False,
) -> None:
    """List schedules with what came of their last runs, newest first."""
    with connect() as client:
        found = _schedules(client, limit)
    if as_json:
        write_document(found)
    else:
        _print_schedules(found)


@app.command()
def show(schedule_id: ScheduleId, *, as_json: AsJson = False) -> None:
    """Show when a schedule runs, what it submits, and what came of the last run."""
    with connect() as client:
        found = client.ask(ScheduleView, "GET", client.path("schedules", schedule_id))
    if as_json:
        write_document(found)
        return
    out = console()
    out.print(f"schedule: {found.schedule_id}  {found.name or ''}".rstrip(), markup=False)
    out.print(f"status:   {found.status.value}")
    out.print(f"when:     {_when(found)}", markup=False)
    out.print(f"agent:    {found.agent or 'the default'}", markup=False)
    out.print(f"goal:     {found.task.goal}", markup=False)
    out.print(f"runs:     {found.runs}")
    out.print(f"last run: {_ran(found.last_run)}", markup=False)


@app.command()
def delete(schedule_id: ScheduleId, *, as_json: AsJson = False) -> None:
    """Let a schedule run no more; tasks that it has submitted go on."""
    with connect() as client:
        client.send("DELETE", client.path("schedules", schedule_id))
    if as_json:
        write_document({"schedule_id": schedule_id, "deleted": True})
        return
    note(f"{schedule_id} runs no more.")


def _schedules(client: ApiClient, limit: int) -> ScheduleListView:
    found = ScheduleListView(schedules=[], next_cursor=None)
    while True:
        size = min(limit - len(found.schedules), limits.MAX_PAGE_SIZE)
        query = {"limit": size, "cursor": found.next_cursor}
        page = client.ask(ScheduleListView, "GET", client.path("schedules"), query=query)
        both = found.schedules + page.schedules
        found = ScheduleListView(schedules=both, next_cursor=page.next_cursor)
        if page.next_cursor is None or len(both) >= limit:
            return found


def _print_schedules(found: ScheduleListView) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    if not found.schedules:
        note('No schedules. Make one:  ratchet schedules create "rate(1 hour)" "..."')
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("schedule", "name", "when", "status", "runs", "last run"):
        table.add_column(title, no_wrap=title == "schedule", overflow="fold")
    for schedule in found.schedules:
        cells = (
            schedule.schedule_id,
            schedule.name or "-",
            _when(schedule),
            schedule.status.value,
            str(schedule.runs),
            _ran(schedule.last_run),
        )
        table.add_row(*map(Text, cells))
    console().print(table)
    if found.next_cursor is not None:
        note("There are more; ask for them with --limit.")


def _when(schedule: ScheduleSummaryView) -> str:
    bounds = (("from", schedule.start_at), ("until", schedule.end_at))
    told = [f"{word} {moment}" for word, moment in bounds if moment is not None]
    return " ".join([schedule.schedule_expression, schedule.timezone, *told])


def _ran(run: LastRunView | None) -> str:
    if run is None:
        return "-"
    why = run.task_id if run.error is None else f"{run.error.code}: {run.error.message}"
    return f"{run.scheduled_at} {why}"
