"""Read how announcements went, and send one again."""

from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.app.announce_task import next_try_ms
from ratchet.app.cursors import Cursors, Listing
from ratchet.app.occasions import announced_events
from ratchet.app.read_task import ReadTask
from ratchet.contracts.limits import RING_AGAIN_SECONDS
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import Channel
from ratchet.contracts.request_errors import DeliveryNotFound, NothingToDeliver
from ratchet.delivery_log import DeadPage, Delivery, DeliveryState
from ratchet.domain.delivery import MAX_TRIES
from ratchet.domain.identifiers import delivery_id, delivery_of
from ratchet.domain.steps import End, Paused
from ratchet.domain.task import History
from ratchet.ports import CheckpointStore, Clock, Inbox


@dataclass(frozen=True, slots=True)
class Deliveries:
    """The use cases of `GET /v1/deliveries`, `/v1/tasks/{task_id}/deliveries` and of `redeliver`."""

    store: CheckpointStore
    outbox: Inbox
    clock: Clock
    cursors: Cursors

    def of_task(self, ref: TaskRef) -> Sequence[Delivery]:
        """Every way of every event of the task, oldest event first; also those that were not tried yet.

        Raises:
            TaskNotFound: this tenant has no such task.
        """
        tip = ReadTask(self.store, self.clock).tip(ref)
        return self._of(tip, self._announced(tip))

    def dead(self, tenant: str, *, limit: int, cursor: str | None) -> tuple[DeadPage, str | None]:
        """A page of the tenant's dead deliveries, those of the newest tasks first, and the cursor of the next one.

        Raises:
            InvalidRequest: the cursor is not one of this list.
        """
        listing = Listing(tenant, "dead deliveries")
        after = None if cursor is None else self.cursors.read(listing, cursor)
        page = self.store.dead_deliveries(tenant, limit=limit, after=after)
        return page, None if page.after is None else self.cursors.write(listing, page.after)

    def redeliver(self, ref: TaskRef, id_: str) -> Delivery:
        """Send an announcement again, with ten tries to go: the same id and bytes, also if it has arrived.

        A webhook that was sent nothing more since it answered 410 gets everything again.

        Raises:
            TaskNotFound: this tenant has no such task.
            DeliveryNotFound: the task has no announcement of this id.
            NothingToDeliver: it was a question, and that has been answered.
            StoreUnavailable: send the same request again.
        """
        tip = ReadTask(self.store, self.clock).tip(ref)
        announced = self._announced(tip)
        if not any(delivery_id(d.event_id, d.channel) == id_ for d in self._of(tip, announced)):
            raise DeliveryNotFound(
                f"there is no {id_[:64]!r}; GET /v1/tasks/{ref.task_id}/deliveries lists them"
            )
        event_id, channel = delivery_of(id_)
        if event_id not in announced:
            raise NothingToDeliver("the question was answered, so it is not asked again")
        if channel == Channel.WEBHOOK and tip.task.webhook_url is not None:
            self.store.enable_webhook(ref.tenant, tip.task.webhook_url)
        self.store.redeliver(ref, event_id, channel=channel)
        self._ring(tip)
        return next(
            d for d in self._of(tip, announced) if delivery_id(d.event_id, d.channel) == id_
        )

    def _ring(self, tip: History) -> None:
        """The sweeper rings too: a deliverer may have postponed the task at this very moment, so both are needed."""
        ref = tip.task.ref
        if isinstance(tip.next, End | Paused):
            at_ms = self.clock.now_ms() + RING_AGAIN_SECONDS * 1000
            self.store.due_again(ref, ended_at_ms=tip.records[-1].finished_at_ms, at_ms=at_ms)
        self.outbox.send(Doorbell(ref))

    def _announced(self, tip: History) -> list[str]:
        """The ids of what there is to announce now."""
        return [event.id for event in announced_events(self.store, tip)]

    def _of(self, tip: History, announced: Sequence[str]) -> list[Delivery]:
        ref = tip.task.ref
        log = {(d.event_id, d.channel): d for d in self.store.task_deliveries(ref)}
        channels = [Channel.SNS, *([Channel.WEBHOOK] if tip.task.webhook_url else [])]
        for event_id in announced:
            for channel in channels:
                log.setdefault(
                    (event_id, channel.value), Delivery(event_id, channel.value, DeliveryState())
                )
        return sorted(log.values(), key=lambda d: (_step_of(d.event_id), d.channel))


def due_at_ms(delivery: Delivery) -> int | None:
    """When a delivery is tried next, None if never. One of release 0.1.0 may be dead without being listed so."""
    state = delivery.state
    if state.ok or state.is_dead or state.tries >= MAX_TRIES:
        return None
    return next_try_ms(state, delivery.event_id)


def _step_of(event_id: str) -> int:
    return int(event_id.split("_", 3)[2])
