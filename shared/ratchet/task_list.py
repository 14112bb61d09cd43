"""Lists of tasks: what to list, and what a list shows. Part of the CheckpointStore."""

from dataclasses import dataclass

from ratchet.contracts.names import TaskStatus
from ratchet.domain.identifiers import first_task_id


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """One line of a task list."""

    task_id: str
    status: TaskStatus
    agent: str
    created_at_ms: int
    updated_at_ms: int
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some tasks, newest first; `after` is the task id to go on from, None at the end."""

    tasks: tuple[TaskSummary, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Which tasks of a tenant to list; those made from `from_ms` on and before `until_ms`, by their ids."""

    status: TaskStatus | None = None
    agent: str | None = None
    user_id: str | None = None
    from_ms: int | None = None
    until_ms: int | None = None

    def passes(self, task: TaskSummary) -> bool:
        """Whether the task is to be listed."""
        return (
            self.status in (None, task.status)
            and self.agent in (None, task.agent)
            and self.user_id in (None, task.user_id)
            and (self.from_ms is None or task.task_id >= first_task_id(self.from_ms))
            and (self.until_ms is None or task.task_id < first_task_id(self.until_ms))
        )
