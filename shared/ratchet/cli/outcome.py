"""What several commands do with a task: follow it or wait for it, show how it ended, and exit accordingly."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from ratchet.cli.client import ApiClient
from ratchet.cli.config import api_config
from ratchet.cli.output import console, note, write_document
from ratchet.cli.timeline import question_lines
from ratchet.cli.watching import HOLD_SECONDS
from ratchet.contracts import limits
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.task_api import TaskView

EXIT_NOT_SUCCEEDED = 1


def connect() -> ApiClient:
    """A client of the API that the environment, or a running `ratchet dev`, names."""
    return ApiClient.connect(api_config())


@contextmanager
def interruptible(then: str) -> Iterator[None]:
    """Ctrl-C stops the command and not the task: say `then`, and exit with 130."""
    try:
        yield
    except KeyboardInterrupt:
        note(then)
        raise typer.Exit(130) from None


def follow_to_end(client: ApiClient, task_id: str, *, as_json: bool) -> None:
    """Show a task as it goes on; exits 1 unless it succeeds."""
    from ratchet.cli import watch_view, watching  # noqa: PLC0415

    events = watching.follow(client, task_id)
    with interruptible(f"Stopped watching; the task goes on. Again:  ratchet watch {task_id}"):
        task = watch_view.show_json(events) if as_json else watch_view.show(events)
    _exit_with(task)


def wait_for_end(client: ApiClient, task: TaskView) -> TaskView:
    """The task as it ended; its questions are shown as they come."""
    asked: set[str] = set()
    while not task.status.is_terminal:
        for interrupt in task.interrupts:
            if interrupt.id not in asked:
                asked.add(interrupt.id)
                note("\n".join(question_lines(interrupt)))
        if task.interrupts:
            time.sleep(HOLD_SECONDS)  # the API answers at once: it has something to ask
        task = client.task(task.task_id, wait=limits.MAX_WAIT_SECONDS)
    return task


def finish(task: TaskView, *, as_json: bool) -> None:
    """Show a task that has ended; exits 1 unless it succeeded."""
    if as_json:
        write_document(task)
    else:
        from ratchet.cli import timeline, watch_view  # noqa: PLC0415

        out = console()
        out.print(timeline.total_line(task))
        watch_view.print_outcome(task, out)
    _exit_with(task)


def _exit_with(task: TaskView) -> None:
    if task.status is not TaskStatus.SUCCEEDED:
        raise typer.Exit(EXIT_NOT_SUCCEEDED)
