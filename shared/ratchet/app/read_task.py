"""Read a task, with a long poll, and its timeline."""

from dataclasses import dataclass

from ratchet.app.remains import tip_or_remains
from ratchet.contracts.limits import MAX_WAIT_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.request_errors import TaskNotFound
from ratchet.domain.identifiers import is_task_id
from ratchet.domain.steps import End, Paused
from ratchet.domain.task import History
from ratchet.ports import CheckpointStore, Clock

FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class ReadTask:
    """The use cases of `GET /v1/tasks/{task_id}` and `/v1/tasks/{task_id}/steps`."""

    store: CheckpointStore
    clock: Clock

    def tip(self, ref: TaskRef, *, wait_seconds: float = 0) -> History:
        """The task with its last step; with `wait_seconds`, as soon as it has ended or asks something.

        Raises:
            TaskNotFound: this tenant has no such task.
        """
        deadline = self.clock.monotonic() + min(wait_seconds, MAX_WAIT_SECONDS)
        pause = FIRST_PAUSE_SECONDS
        while True:
            tip = self._existing(ref)
            left = deadline - self.clock.monotonic()
            if isinstance(tip.next, End | Paused) or left <= 0:
                return tip
            self.clock.sleep(min(pause, left))
            pause = longer(pause)

    def timeline(self, ref: TaskRef) -> History:
        """The task with all its steps.

        Raises:
            TaskNotFound: this tenant has no such task.
        """
        history = self.store.load(ref) if is_task_id(ref.task_id) else None
        if history is None:
            raise task_not_found(ref)
        return history

    def _existing(self, ref: TaskRef) -> History:
        tip = tip_or_remains(self.store, ref) if is_task_id(ref.task_id) else None
        if tip is None:
            raise task_not_found(ref)
        return tip


def task_not_found(ref: TaskRef) -> TaskNotFound:
    """The answer to an id that is none of this tenant's."""
    return TaskNotFound(f"there is no task {ref.task_id[:64]!r}; GET /v1/tasks lists yours")


def longer(pause: float) -> float:
    """The pause of a long poll after this one."""
    return min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
