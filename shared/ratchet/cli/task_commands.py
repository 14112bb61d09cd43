"""watch, show, list, cancel, agents: the HTTP API on the command line."""

from typing import Annotated

import typer

from ratchet.cli.outcome import connect, follow_to_end
from ratchet.cli.output import console, dollars, note, write_document
from ratchet.contracts import limits
from ratchet.contracts.names import Json, TaskStatus
from ratchet.contracts.task_api import TaskListView

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
AsJsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON document per line.")]
TaskId = Annotated[str, typer.Argument(metavar="TASK_ID", help="As `submit` or `list` prints it.")]


def watch(task_id: TaskId, *, as_json: AsJsonLines = False) -> None:
    """Follow a task to its end; exit code 0 only if it succeeded."""
    with connect() as client:
        follow_to_end(client, task_id, as_json=as_json)


def show(task_id: TaskId, *, as_json: AsJson = False) -> None:
    """Show a task with its steps, cost and result."""
    with connect() as client:
        task, steps = client.task(task_id), client.steps(task_id).steps
    if as_json:
        listed: list[Json] = [step.model_dump(mode="json") for step in steps]
        write_document({**task.model_dump(mode="json"), "steps": listed})
        return
    from ratchet.cli import timeline, watch_view  # noqa: PLC0415

    out = console()
    out.print(f"goal:    {task.goal}")
    out.print(f"agent:   {task.agent} (version {task.agent_version})")
    out.print(f"created: {timeline.moment(task.created_at)}")
    if task.parent is not None:
        out.print(f"parent:  {task.parent.task_id}, forked from step {task.parent.step}")
    out.print()
    out.print(timeline.step_table(steps))
    out.print(timeline.total_line(task))
    for line in timeline.cost_lines(task):
        out.print(line)
    watch_view.print_outcome(task, out)


def list_tasks(
    *,
    status: Annotated[TaskStatus | None, typer.Option(help="Only tasks of this status.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only tasks of this agent.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = limits.DEFAULT_PAGE_SIZE,
    as_json: AsJson = False,
) -> None:
    """List tasks, newest first."""
    with connect() as client:
        found = client.tasks(status=status.value if status else None, agent=agent, limit=limit)
    if as_json:
        write_document(found)
    else:
        print_tasks(found)


def cancel(task_id: TaskId, *, as_json: AsJson = False) -> None:
    """Cancel a task; what it has cost stays spent."""
    with connect() as client:
        task = client.cancel(task_id)
    if as_json:
        write_document(task)
    else:
        print(f"{task.task_id}  {task.status.value}")


def agents(*, as_json: AsJson = False) -> None:
    """List the agents that are deployed."""
    with connect() as client:
        found = client.agents()
    if as_json:
        write_document(found)
        return
    out = console()
    for agent in found.agents:
        default = "  (default)" if agent.name == found.default_agent else ""
        allowed = agent.limits
        out.print(f"{agent.name}{default}", style="bold")
        out.print(f"  {agent.description or 'no description'}")
        out.print(f"  tools: {', '.join(agent.tools) or 'none'}; policy: {agent.policy}")
        out.print(
            f"  at most {allowed.max_steps} steps, {dollars(allowed.max_cost_usd)}, "
            f"{allowed.deadline_seconds} s; version {agent.version}"
        )


def print_tasks(found: TaskListView) -> None:
    """A table of tasks."""
    from rich.table import Table  # noqa: PLC0415

    from ratchet.cli import timeline  # noqa: PLC0415

    if not found.tasks:
        note('No tasks. Submit one:  ratchet submit "..."')
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("task", "status", "agent", "user", "created"):
        table.add_column(title, no_wrap=title == "task")
    for task in found.tasks:
        created = timeline.moment(task.created_at)
        status = timeline.status_text(task.status)
        table.add_row(task.task_id, status, task.agent, task.user_id or "-", created)
    console().print(table)
    if found.next_cursor is not None:
        note("There are more; ask for them with --limit.")
