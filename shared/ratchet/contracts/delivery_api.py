"""Answers of the HTTP API about announcements."""

from enum import StrEnum

from pydantic import Field

from ratchet.contracts.names import Channel
from ratchet.contracts.wire import Answer


class DeliveryStatus(StrEnum):
    """Whether an announcement has arrived, is on its way, or was given up."""

    DELIVERED = "delivered"
    PENDING = "pending"
    DEAD = "dead"


class DeliveryAttemptView(Answer):
    """One try; `detail` is what the receiver answered, or why it could not."""

    at: str
    ok: bool
    detail: str


class DeliveryView(Answer):
    """One event's way to one channel. `event_id` is what a webhook has as `webhook-id`: the same on every try.

    `tries` counts all, `attempts` has the latest twenty, oldest first. `next_try_at` is null when there will be none.
    """

    id: str = Field(examples=["evt_01KAQ4Y2D6W3V9K5T8Z0N1B7CF_3_task_succeeded.webhook"])
    event_id: str
    type: str = Field(examples=["task.succeeded"])
    channel: Channel
    status: DeliveryStatus
    tries: int
    next_try_at: str | None
    attempts: list[DeliveryAttemptView]


class DeliveryListView(Answer):
    """Answer of `GET /v1/tasks/{task_id}/deliveries`."""

    deliveries: list[DeliveryView]


class DeadDeliveryView(Answer):
    """An announcement that was given up; its task's deliveries say why."""

    task_id: str
    id: str
    type: str
    channel: Channel


class DeadDeliveryListView(Answer):
    """Answer of `GET /v1/deliveries`: those of the newest tasks first."""

    deliveries: list[DeadDeliveryView]
    next_cursor: str | None
