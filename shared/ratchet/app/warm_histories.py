"""What a warm sandbox remembers: the tasks it ran last, so that their next step needs no read."""

from collections import OrderedDict

from ratchet.contracts.messages import TaskRef
from ratchet.domain.task import History

MAX_TASKS = 32


class WarmHistories:
    """A small least-recently-used memory. Keyed by tenant and task; never trusted to be current.

    A remembered history may lack newer steps, never hold wrong ones: a committed step does not change.
    """

    def __init__(self, max_tasks: int = MAX_TASKS) -> None:
        self._max_tasks = max_tasks
        self._histories: OrderedDict[TaskRef, History] = OrderedDict()

    def get(self, ref: TaskRef) -> History | None:
        """The task's history as it was last seen here."""
        if ref in self._histories:
            self._histories.move_to_end(ref)
        return self._histories.get(ref)

    def put(self, history: History) -> None:
        """Remember a history; a finished one is forgotten, it has no next step."""
        ref = history.task.ref
        self._histories[ref] = history
        self._histories.move_to_end(ref)
        while len(self._histories) > self._max_tasks:
            self._histories.popitem(last=False)
