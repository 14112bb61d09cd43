"""Announce a finished task on every channel it has. Safe to repeat: same event id, same bytes, arrived ones skipped."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ratchet.contracts.errors import DeliveryFailed
from ratchet.contracts.limits import MAX_EVENT_BYTES
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Json
from ratchet.domain.keys import event_id
from ratchet.domain.steps import End
from ratchet.domain.task import History
from ratchet.observability import logger
from ratchet.ports import Announcer, CheckpointStore, Clock, DeliveryAttempt, Event


@dataclass(frozen=True, slots=True)
class AnnounceTask:
    """The use case of the deliverer: one outbox message."""

    store: CheckpointStore
    announcers: Sequence[Announcer]
    clock: Clock

    def __call__(self, ref: TaskRef) -> None:
        """Deliver the terminal event to every channel on which it has not arrived.

        Raises:
            DeliveryFailed: at least one channel did not take it; the message must come back.
        """
        tip = self.store.load_tip(ref)
        if tip is None or not isinstance(tip.next, End):
            logger.error("nothing to announce", extra={"task_id": ref.task_id})
            return
        event = terminal_event(tip, tip.next)
        arrived = self.store.delivered_channels(ref, event.id)
        failed = [
            announcer.channel
            for announcer in self.announcers
            if announcer.channel not in arrived and not self._deliver(announcer, event, tip)
        ]
        if failed:
            raise DeliveryFailed(f"{event.id} did not arrive on {', '.join(failed)}")
        self.store.mark_announced(ref)

    def _deliver(self, announcer: Announcer, event: Event, tip: History) -> bool:
        target = tip.task.webhook_url
        if announcer.channel == "webhook" and target is None:
            return True
        try:
            note, ok = announcer.announce(event, target=target), True
        except DeliveryFailed as exc:
            note, ok = str(exc), False
        ref = tip.task.ref
        attempt = DeliveryAttempt(event.id, announcer.channel, ok, self.clock.now_ms(), note[:500])
        self.store.record_delivery(ref, attempt)
        details = {"task_id": ref.task_id, "channel": announcer.channel, "ok": ok}
        logger.info("delivery attempted", extra=details)
        return ok


def terminal_event(tip: History, end: End) -> Event:
    """The announcement of a task's end; the same bytes whenever it is built."""
    task = tip.task
    type_ = f"task.{end.status.value}"
    finished_ms = tip.records[-1].finished_at_ms
    data: dict[str, Json] = {
        "task_id": task.ref.task_id,
        "status": end.status.value,
        "agent": task.agent,
        "user_id": task.user_id,
        "metadata": dict(task.metadata),
        "result": end.output,
        "error": None
        if end.failure is None
        else {"code": end.failure.code, "message": end.failure.message},
        "steps": tip.totals.steps,
        "cost_usd": tip.totals.cost_microusd / 1e6,
    }
    body = _envelope(type_, finished_ms, data)
    if len(body) > MAX_EVENT_BYTES:
        body = _envelope(type_, finished_ms, {**data, "result": None, "result_omitted": True})
    attributes = {
        "type": type_,
        "status": end.status.value,
        "agent": task.agent,
        "tenant": task.ref.tenant,
    }
    return Event(event_id(task.ref, type_), type_, body, attributes)


def _envelope(type_: str, at_ms: int, data: dict[str, Json]) -> bytes:
    timestamp = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    envelope = {"type": type_, "timestamp": timestamp.replace("+00:00", "Z"), "data": data}
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
