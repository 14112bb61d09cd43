"""Announce a finished task on every channel it has. Safe to repeat: same id, same bytes, arrived ones skipped."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ratchet.contracts.errors import DeliveryFailed
from ratchet.contracts.limits import DELIVERY_DELAYS_SECONDS, MAX_EVENT_BYTES
from ratchet.contracts.messages import Doorbell
from ratchet.contracts.names import Json
from ratchet.domain.keys import event_id
from ratchet.domain.steps import End
from ratchet.domain.task import History, erase_at
from ratchet.observability import logger
from ratchet.ports import Announcer, CheckpointStore, Clock, DeliveryAttempt, DeliveryState, Event

MAX_TRIES = len(DELIVERY_DELAYS_SECONDS) + 1


@dataclass(frozen=True, slots=True)
class AnnounceTask:
    """The use case of the deliverer: one outbox message."""

    store: CheckpointStore
    announcers: Sequence[Announcer]
    clock: Clock

    def __call__(self, bell: Doorbell) -> None:
        """Deliver each end of the task to every channel on which it has not arrived; what failed is due later.

        A resumed task has ended more than once, and each end is announced: also one that was resumed before anybody
        heard of it, at the latest when the task ends again.

        Raises:
            StoreUnavailable: the message must come back.
        """
        tip = self.store.load_tip(bell.task)
        if tip is None:
            logger.info("nothing to announce", extra={"task_id": bell.task.task_id})
            return
        due = [at for end in self._ends(tip) for at in self._announce(end)]
        if isinstance(tip.next, End):
            last = tip.records[-1]
            at_ms = min(due, default=erase_at(last))
            self.store.due_again(bell.task, ended_at_ms=last.finished_at_ms, at_ms=at_ms)

    def _ends(self, tip: History) -> list[History]:
        """The task as of each of its ends."""
        is_resumed = tip.state.opened_at_ms > tip.task.created_at_ms
        history = (self.store.load(tip.task.ref) if is_resumed else tip) or tip
        return [replace(history, records=(r,)) for r in history.records if isinstance(r.next, End)]

    def _announce(self, ended: History) -> list[int]:
        """Try the channels whose time has come; when to try the others."""
        event = terminal_event(ended)
        log = self.store.deliveries(ended.task.ref, event.id)
        waits = [self._try(announcer, event, ended, log) for announcer in self.announcers]
        return [at for at in waits if at is not None]

    def _try(
        self, announcer: Announcer, event: Event, tip: History, log: Mapping[str, DeliveryState]
    ) -> int | None:
        """Deliver on one channel if it is time; when to try next, None for never."""
        before = log.get(announcer.channel, DeliveryState())
        if before.ok or before.tries >= MAX_TRIES:
            return None
        due = next_try_ms(before)
        if self.clock.now_ms() < due:
            return due
        if self._deliver(announcer, event, tip):
            return None
        # After the try, which may have hung for seconds: due before the store agrees would be looked at for nothing.
        after = DeliveryState(False, before.tries + 1, self.clock.now_ms())
        return None if after.tries >= MAX_TRIES else next_try_ms(after)

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


def next_try_ms(state: DeliveryState) -> int:
    """When the next try is due: at once for the first, then after the documented delays."""
    if not state.tries:
        return 0
    return state.last_at_ms + DELIVERY_DELAYS_SECONDS[state.tries - 1] * 1000


def terminal_event(tip: History) -> Event:
    """The announcement of a task as of its end; the same bytes whenever it is built."""
    task, end = tip.task, tip.next
    if not isinstance(end, End):
        raise TypeError(f"{task.ref.task_id} has not ended")
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
    return Event(event_id(task.ref, type_, tip.records[-1].number), type_, body, attributes)


def _envelope(type_: str, at_ms: int, data: dict[str, Json]) -> bytes:
    timestamp = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    envelope = {"type": type_, "timestamp": timestamp.replace("+00:00", "Z"), "data": data}
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
