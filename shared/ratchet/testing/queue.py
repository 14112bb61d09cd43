"""A queue in memory."""

from collections import deque

from ratchet.contracts.messages import Doorbell


class InMemoryInbox:
    """Keeps message bodies, as SQS does; `receive` hands each out once."""

    def __init__(self) -> None:
        self._bodies: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._bodies)

    def send(self, bell: Doorbell) -> None:
        """Ring for a task."""
        self._bodies.append(bell.to_json())

    def receive(self) -> Doorbell | None:
        """The oldest message, or None when the queue is empty."""
        return Doorbell.from_json(self._bodies.popleft()) if self._bodies else None

    def depth(self) -> int:
        """How many messages nobody has received yet."""
        return len(self)
