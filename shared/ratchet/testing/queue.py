"""A queue in memory."""

from collections import deque

from ratchet.contracts.messages import TaskRef


class InMemoryInbox:
    """Keeps message bodies, as SQS does; `receive` hands each out once."""

    def __init__(self) -> None:
        self._bodies: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._bodies)

    def send(self, ref: TaskRef) -> None:
        """Ring for a task."""
        self._bodies.append(ref.to_json())

    def receive(self) -> TaskRef | None:
        """The oldest message, or None when the queue is empty."""
        return TaskRef.from_json(self._bodies.popleft()) if self._bodies else None
