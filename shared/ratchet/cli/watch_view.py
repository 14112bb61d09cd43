"""A followed task on the terminal: a live table, plain lines when piped, or JSON lines."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ratchet.cli.output import console, write_line
from ratchet.cli.timeline import outcome_lines, question_lines, status_text, step_table, total_line
from ratchet.cli.watching import StatusChanged, StepCompleted, TaskEvent, event_json
from ratchet.contracts.step_api import StepView
from ratchet.contracts.task_api import TaskView

if TYPE_CHECKING:
    from rich.console import Console, Group


def show_json(events: Iterator[TaskEvent]) -> TaskView:
    """One line per event; returns the task as it ended."""
    last = None
    for event in events:
        write_line(event_json(event))
        last = event
    return _ended(last)


def show(events: Iterator[TaskEvent], *, with_outcome: bool = True) -> TaskView:
    """The timeline as it grows, the total and the result; returns the task as it ended."""
    out = console()
    task = _show_live(events, out) if out.is_terminal else _show_lines(events, out)
    out.print(total_line(task))
    if with_outcome:
        print_outcome(task, out)
    return task


def print_outcome(task: TaskView, out: "Console") -> None:
    """How the task ended, and its result or error."""
    out.print()
    out.print(task.task_id, status_text(task.status))
    for line in outcome_lines(task):
        out.print(line)


def _show_lines(events: Iterator[TaskEvent], out: "Console") -> TaskView:
    last: TaskEvent | None = None
    for event in events:
        if last is None:
            out.print(step_table([]))
        if isinstance(event, StepCompleted):
            out.print(step_table([event.step], header=False))
        else:
            _print_questions(event.task, out)
        last = event
    return _ended(last)


def _show_live(events: Iterator[TaskEvent], out: "Console") -> TaskView:
    from rich.live import Live  # noqa: PLC0415

    steps: list[StepView] = []
    task: TaskView | None = None
    last: TaskEvent | None = None
    with Live(console=out, refresh_per_second=8) as live:
        for event in events:
            match event:
                case StepCompleted(step):
                    steps.append(step)
                case StatusChanged(changed):
                    task = changed
                    _print_questions(changed, out)
            live.update(_picture(steps, task))
            last = event
    return _ended(last)


def _print_questions(task: TaskView, out: "Console") -> None:
    for interrupt in task.interrupts:
        for line in question_lines(interrupt):
            out.print(line)


def _picture(steps: list[StepView], task: TaskView | None) -> "Group":
    from rich.console import Group  # noqa: PLC0415
    from rich.spinner import Spinner  # noqa: PLC0415

    table = step_table(steps)
    if task is None or task.status.is_terminal:
        return Group(table)
    return Group(table, Spinner("dots", text=f"{task.status.value}: step {len(steps) + 1}"))


def _ended(last: TaskEvent | None) -> TaskView:
    match last:
        case StatusChanged(task):
            return task
        case _:
            raise AssertionError("a followed task ends with its terminal status")
