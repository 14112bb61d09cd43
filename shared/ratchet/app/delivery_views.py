"""Deliveries as the API tells them."""

from ratchet.app.deliveries import due_at_ms
from ratchet.contracts.delivery_api import (
    DeadDeliveryListView,
    DeadDeliveryView,
    DeliveryAttemptView,
    DeliveryStatus,
    DeliveryView,
)
from ratchet.contracts.names import Channel
from ratchet.delivery_log import DeadPage, Delivery
from ratchet.domain.identifiers import delivery_id, event_type
from ratchet.domain.rfc3339 import timestamp


def delivery_view(delivery: Delivery, *, now_ms: int) -> DeliveryView:
    """One delivery; a try that is overdue is due now."""
    state, due_ms = delivery.state, due_at_ms(delivery)
    status = DeliveryStatus.DELIVERED if state.ok else DeliveryStatus.DEAD
    if due_ms is not None:
        status = DeliveryStatus.PENDING
    return DeliveryView(
        id=delivery_id(delivery.event_id, delivery.channel),
        event_id=delivery.event_id,
        type=event_type(delivery.event_id),
        channel=Channel(delivery.channel),
        status=status,
        tries=state.earlier_tries + state.tries,
        next_try_at=None if due_ms is None else timestamp(max(due_ms, now_ms)),
        attempts=[
            DeliveryAttemptView(at=timestamp(a.at_ms), ok=a.ok, detail=a.detail)
            for a in delivery.attempts
        ],
    )


def dead_view(page: DeadPage, next_cursor: str | None) -> DeadDeliveryListView:
    """A page of dead deliveries."""
    found = [
        DeadDeliveryView(
            task_id=dead.task_id,
            id=delivery_id(dead.event_id, dead.channel),
            type=event_type(dead.event_id),
            channel=Channel(dead.channel),
        )
        for dead in page.deliveries
    ]
    return DeadDeliveryListView(deliveries=found, next_cursor=next_cursor)
