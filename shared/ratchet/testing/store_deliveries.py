"""The delivery log of InMemoryCheckpoints."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ratchet.contracts.messages import TaskRef
from ratchet.delivery_log import DeadDelivery, DeadPage, Delivery, DeliveryAttempt, DeliveryState
from ratchet.domain import keys
from ratchet.testing.store_rows import DeliveryRow, Partition, sort_key

MAX_ATTEMPTS_KEPT = 20
MAX_DETAIL_CHARS = 500


class InMemoryDeliveries:
    """The DeliveryLog without AWS."""

    _lock: threading.Lock
    _partitions: defaultdict[str, Partition]
    _gone_webhooks: dict[str, int]

    def deliveries(self, ref: TaskRef, event_id: str) -> Mapping[str, DeliveryState]:
        """How announcing the event went so far, by channel; a channel without a try is absent."""
        prefix = keys.delivery_sort_key(event_id, "")
        with self._lock:
            log = self._partitions[keys.task_key(ref)].deliveries
            return {d.channel: d.state() for name, d in log.items() if name.startswith(prefix)}

    def task_deliveries(self, ref: TaskRef) -> Sequence[Delivery]:
        """The delivery log of a task: one entry for each event and channel with a try."""
        with self._lock:
            log = self._partitions[keys.task_key(ref)].deliveries
            return [
                Delivery(row.event_id, row.channel, row.state(), tuple(row.attempts))
                for _, row in sorted(log.items())
            ]

    def record_delivery(self, ref: TaskRef, attempt: DeliveryAttempt) -> None:
        """Add a try to the event's delivery log, which keeps the latest twenty; once arrived stays arrived."""
        name = sort_key(keys.delivery_sort_key(attempt.event_id, attempt.channel))
        # As DynamoDB keeps it: `not_before_ms` is the delivery's, not the try's.
        kept = replace(attempt, detail=attempt.detail[:MAX_DETAIL_CHARS], not_before_ms=0)
        with self._lock:
            deliveries = self._partitions[keys.task_key(ref)].deliveries
            row = deliveries.setdefault(name, DeliveryRow(attempt.event_id, attempt.channel))
            row.ok = row.ok or attempt.ok
            row.is_dead = row.is_dead and not attempt.ok
            row.tries += 1
            row.not_before_ms = attempt.not_before_ms
            row.attempts = [*row.attempts, kept][-MAX_ATTEMPTS_KEPT:]

    def give_up_delivery(
        self, ref: TaskRef, event_id: str, *, channel: str, earlier_tries: int
    ) -> bool:
        """List the delivery as dead. False if it is, it has arrived, or somebody has asked to send it again since."""
        with self._lock:
            row = self._row(ref, event_id, channel)
            if row is None or row.ok or row.is_dead or row.earlier_tries != earlier_tries:
                return False
            row.is_dead = True
            return True

    def redeliver(self, ref: TaskRef, event_id: str, *, channel: str) -> bool:
        """Begin anew with a delivery, whether it has arrived, is dead or under way. False if it was never tried."""
        with self._lock:
            row = self._row(ref, event_id, channel)
            if row is None:
                return False
            row.ok, row.is_dead, row.not_before_ms = False, False, 0
            row.earlier_tries = row.tries
            return True

    def dead_deliveries(self, tenant: str, *, limit: int, after: str | None = None) -> DeadPage:
        """What a tenant's receivers did not get."""
        with self._lock:
            dead = sorted(self._dead(tenant), reverse=True)
        left = [place for place in dead if after is None or place < after]
        found = tuple(DeadDelivery(*place.split("#")) for place in left[:limit])
        return DeadPage(found, left[limit - 1] if len(left) > limit else None)

    def disable_webhook(self, tenant: str, url: str, *, until_ms: int) -> None:
        """Note that a tenant's webhook wants nothing before that time."""
        with self._lock:
            self._gone_webhooks[keys.webhook_key(tenant, url)] = until_ms

    def enable_webhook(self, tenant: str, url: str) -> None:
        """Forget that a tenant's webhook wanted nothing."""
        with self._lock:
            self._gone_webhooks.pop(keys.webhook_key(tenant, url), None)

    def webhook_disabled_until(self, tenant: str, url: str) -> int:
        """Up to when a tenant's webhook wants nothing, in milliseconds since the epoch; 0 if it does."""
        with self._lock:
            return self._gone_webhooks.get(keys.webhook_key(tenant, url), 0)

    def _row(self, ref: TaskRef, event_id: str, channel: str) -> DeliveryRow | None:
        log = self._partitions[keys.task_key(ref)].deliveries
        return log.get(keys.delivery_sort_key(event_id, channel))

    def _dead(self, tenant: str) -> Iterator[str]:
        for name, partition in self._partitions.items():
            if not name.startswith(f"{keys.tenant_key(tenant)}#"):
                continue
            ref = keys.ref_of(name)
            for row in partition.deliveries.values():
                if row.is_dead:
                    yield keys.dead_sort_key(ref, row.event_id, row.channel)
