"""The part of the CheckpointStore that remembers how announcements went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ratchet.contracts.messages import TaskRef


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """How one try to announce an event went. `not_before_ms`: when the receiver lets itself be asked again."""

    event_id: str
    channel: str
    ok: bool
    at_ms: int
    detail: str
    not_before_ms: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """How announcing an event on one channel went so far.

    `tries` counts since somebody asked to send it again, `earlier_tries` those before.
    """

    ok: bool = False
    tries: int = 0
    last_at_ms: int = 0
    not_before_ms: int = 0
    is_dead: bool = False
    earlier_tries: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event's way to one channel: where it stands, and the latest tries, oldest first."""

    event_id: str
    channel: str
    state: DeliveryState
    attempts: tuple[DeliveryAttempt, ...] = ()


@dataclass(frozen=True, slots=True)
class DeadDelivery:
    """An announcement that was given up."""

    task_id: str
    event_id: str
    channel: str


@dataclass(frozen=True, slots=True)
class DeadPage:
    """Some dead deliveries, those of the newest tasks first; `after` is the place to go on from, None at the end."""

    deliveries: tuple[DeadDelivery, ...]
    after: str | None


class DeliveryLog(Protocol):
    """How announcements went, and which receivers want no more. Every method may raise StoreUnavailable."""

    def deliveries(self, ref: TaskRef, event_id: str) -> Mapping[str, DeliveryState]:
        """How announcing the event went so far, by channel; a channel without a try is absent."""
        ...

    def record_delivery(self, ref: TaskRef, attempt: DeliveryAttempt) -> None:
        """Add a try to the event's delivery log, which keeps the latest twenty; once arrived stays arrived."""
        ...

    def give_up_delivery(
        self, ref: TaskRef, event_id: str, *, channel: str, earlier_tries: int
    ) -> bool:
        """List the delivery as dead. False if it is, it has arrived, or somebody has asked to send it again since."""
        ...

    def redeliver(self, ref: TaskRef, event_id: str, *, channel: str) -> bool:
        """Begin anew with a delivery, whether it has arrived, is dead or under way. False if it was never tried."""
        ...

    def task_deliveries(self, ref: TaskRef) -> Sequence[Delivery]:
        """The delivery log of a task: one entry for each event and channel with a try."""
        ...

    def dead_deliveries(self, tenant: str, *, limit: int, after: str | None = None) -> DeadPage:
        """What a tenant's receivers did not get (eventually consistent)."""
        ...

    def disable_webhook(self, tenant: str, url: str, *, until_ms: int) -> None:
        """Note that a tenant's webhook wants nothing before that time."""
        ...

    def enable_webhook(self, tenant: str, url: str) -> None:
        """Forget that a tenant's webhook wanted nothing."""
        ...

    def webhook_disabled_until(self, tenant: str, url: str) -> int:
        """Up to when a tenant's webhook wants nothing, in milliseconds since the epoch; 0 if it does."""
        ...
