"""Following a task to its end: what happened since the last look, as events."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from ratchet.cli.client import ApiClient
from ratchet.cli.errors import CliError
from ratchet.contracts.names import Json, TaskStatus
from ratchet.contracts.step_api import StepView
from ratchet.contracts.task_api import TaskView

HOLD_SECONDS = 2
"""How long the API may hold an answer back while a task runs: steps show up this late at most."""
_SHORTEST_ROUND = 0.25


@dataclass(frozen=True, slots=True)
class StepCompleted:
    """A step was committed."""

    step: StepView


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The task is somewhere else than at the last look; the first look counts as a change."""

    task: TaskView


TaskEvent: TypeAlias = StepCompleted | StatusChanged


def follow(
    client: ApiClient, task_id: str, *, give_up_after: float = math.inf
) -> Iterator[TaskEvent]:
    """Every step and change of status; the last event carries the terminal status.

    Raises:
        CliError: the task did not end within `give_up_after` seconds.
    """
    latest = time.monotonic() + give_up_after
    task = client.task(task_id)
    if not task.status.is_terminal:
        yield StatusChanged(task)
    status, seen = task.status, 0
    while True:
        if task.progress.steps > seen:
            for step in client.steps(task_id).steps[seen:]:
                seen += 1  # not its number: a resume takes one of its own
                yield StepCompleted(step)
        if task.status.is_terminal:
            yield StatusChanged(task)
            return
        if task.status is not status:
            status = task.status
            yield StatusChanged(task)
        began = time.monotonic()
        if began > latest:
            raise CliError(f"{task_id} is still {task.status.value} after {give_up_after:.0f} s")
        if task.status is TaskStatus.INPUT_REQUIRED:
            time.sleep(HOLD_SECONDS)  # the API answers at once: it has something to ask
        task = client.task(task_id, wait=HOLD_SECONDS)
        if not task.status.is_terminal and time.monotonic() - began < _SHORTEST_ROUND:
            time.sleep(_SHORTEST_ROUND)  # an API that does not hold answers back is not hammered


def event_json(event: TaskEvent) -> dict[str, Json]:
    """The event in the envelope that webhooks have: type, timestamp, data."""
    if isinstance(event, StepCompleted):
        step = event.step
        end = _later(step.started_at, step.duration_ms)
        return _envelope("step.completed", end, step.model_dump(mode="json"))
    task = event.task
    return _envelope(f"task.{task.status.value}", task.updated_at, task.model_dump(mode="json"))


def _envelope(type_: str, timestamp: str, data: dict[str, Json]) -> dict[str, Json]:
    return {"type": type_, "timestamp": timestamp, "data": data}


def _later(timestamp: str, milliseconds: int) -> str:
    try:
        moment = datetime.fromisoformat(timestamp) + timedelta(milliseconds=milliseconds)
    except ValueError:
        return timestamp
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
