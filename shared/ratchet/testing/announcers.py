"""An `Announcer` that keeps what it was given."""

from dataclasses import dataclass

from ratchet.contracts.errors import DeliveryFailed
from ratchet.ports import Event


@dataclass(frozen=True, slots=True)
class Announcement:
    """One try."""

    event: Event
    target: str | None
    ok: bool


class RecordingAnnouncer:
    """Accepts everything, after failing as often as it was told to."""

    def __init__(self, channel: str = "sns") -> None:
        self.channel = channel
        self.attempts: list[Announcement] = []
        self._failures: list[DeliveryFailed] = []

    @property
    def delivered(self) -> list[Event]:
        """The events that arrived, in order."""
        return [attempt.event for attempt in self.attempts if attempt.ok]

    def fail(self, times: int = 1, *, reason: str = "the receiver answered 503") -> None:
        """Refuse the next events."""
        self._failures += [DeliveryFailed(reason) for _ in range(times)]

    def fail_with(self, *failures: DeliveryFailed) -> None:
        """Refuse the next events so."""
        self._failures += failures

    def announce(self, event: Event, *, target: str | None) -> str:
        """Keep the event.

        Raises:
            DeliveryFailed: as told by `fail`.
        """
        failure = self._failures.pop(0) if self._failures else None
        self.attempts.append(Announcement(event, target, ok=failure is None))
        if failure is not None:
            raise failure
        return f"kept {event.id}"
