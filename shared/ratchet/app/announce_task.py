"""Announce a finished or asking task on every channel. Safe to repeat: same id, same bytes, arrived ones skipped."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ratchet.app.account_usage import AccountUsage
from ratchet.app.admission import SlotReturn
from ratchet.app.decision_links import LinkBook
from ratchet.app.events import end_type
from ratchet.app.occasions import announced_events
from ratchet.app.remains import tip_or_remains
from ratchet.app.send_spans import send_spans
from ratchet.app.session_lock import SessionReturn
from ratchet.app.suspensions import nobody
from ratchet.app.tenant_allowance import TenantGovernor
from ratchet.contracts.errors import DeliveryFailed, ReceiverGone
from ratchet.contracts.limits import WEBHOOK_GONE_SECONDS
from ratchet.contracts.messages import Doorbell
from ratchet.contracts.names import Channel
from ratchet.delivery_log import DeliveryAttempt, DeliveryState
from ratchet.domain.delivery import MAX_TRIES, pause_ms
from ratchet.domain.spans import task_span
from ratchet.domain.steps import End, Paused
from ratchet.domain.task import History, erase_at
from ratchet.observability import delivery_failed, delivery_given_up, logger
from ratchet.ports import Announcer, CheckpointStore, Clock, Event
from ratchet.tracing_ports import SpanSink

_GONE = "the receiver wants no more of this URL since it answered 410; sending this delivery again enables it"


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a try went; `is_final` when another one is of no use."""

    ok: bool
    note: str
    is_final: bool = False
    retry_after_ms: int = 0


@dataclass(frozen=True, slots=True)
class AnnounceTask:
    """The use case of the deliverer: one outbox message."""

    store: CheckpointStore
    announcers: Sequence[Announcer]
    clock: Clock
    slots: SlotReturn | None = None
    tenants: TenantGovernor = field(default_factory=TenantGovernor)
    sessions: SessionReturn | None = None
    spans: SpanSink | None = None
    is_suspended: Callable[[str], bool] = nobody
    book: LinkBook | None = None  # None: questions come without links

    def __call__(self, bell: Doorbell) -> None:
        """Deliver warnings, ends and the open question to every channel on which they have not arrived.

        What does not arrive is due later; a warning of a task that goes on, when that ends or asks.

        The slot of an ended or paused task goes to the next in line, and the lock of an ended one to the next of its
        session. Nothing is announced of a suspended tenant, until it goes on.

        Raises:
            StoreUnavailable: the message must come back.
        """
        tip = tip_or_remains(self.store, bell.task)
        if tip is None:
            logger.info("nothing to announce", extra={"task_id": bell.task.task_id})
            return
        if self.slots is not None and isinstance(tip.next, End | Paused):
            self.slots(tip)  # first of all: a task that cannot be announced must not keep its slot
        if self.sessions is not None and isinstance(tip.next, End):
            self.sessions(tip)
        if self.is_suspended(bell.task.tenant):
            logger.info("announcement of a suspended tenant", extra={"task_id": bell.task.task_id})
            return  # it stays due
        due = [
            at
            for event in announced_events(self.store, tip, self.book)
            for at in self._announce(event, tip)
        ]
        if isinstance(tip.next, End | Paused):
            AccountUsage(self.store)(tip)  # not before: the ledger can wait for who is told
            self.tenants.give_back(self.store, bell.task)
            last = tip.records[-1]
            closes = tip.next.expires_at_ms if isinstance(tip.next, Paused) else erase_at(last)
            at_ms = min([*due, closes])
            self.store.due_again(bell.task, ended_at_ms=last.finished_at_ms, at_ms=at_ms)

    def _announce(self, event: Event, tip: History) -> list[int]:
        """Try the channels whose time has come; when to try the others."""
        log = self.store.deliveries(tip.task.ref, event.id)
        if not log:
            self._trace_end(event, tip)
        waits = [self._try(announcer, event, tip, log) for announcer in self.announcers]
        return [at for at in waits if at is not None]

    def _trace_end(self, event: Event, tip: History) -> None:
        """Tell the task's own span with the first try to announce its end: once, save for a crash in between."""
        if self.spans is None or not isinstance(tip.next, End):
            return
        if event.type == end_type(tip.next):
            send_spans(self.spans, task_span(tip, tip.next))

    def _try(
        self, announcer: Announcer, event: Event, tip: History, log: Mapping[str, DeliveryState]
    ) -> int | None:
        """Deliver on one channel if it is time; when to try next, None for never."""
        before = log.get(announcer.channel, DeliveryState())
        if before.ok or before.is_dead:
            return None
        if before.tries >= MAX_TRIES:  # who made the last try could not say any more that it was
            self._give_up(announcer, event, tip, before)
            return None
        due = next_try_ms(before, event.id)
        if self.clock.now_ms() < due:
            return due
        return self._deliver(announcer, event, tip, before)

    def _deliver(
        self, announcer: Announcer, event: Event, tip: History, before: DeliveryState
    ) -> int | None:
        """Make one try and log it; when to make the next, None for never."""
        if announcer.channel == Channel.WEBHOOK and tip.task.webhook_url is None:
            return None
        outcome = self._outcome(announcer, event, tip)
        # After the try, which may have hung for seconds: due before the store agrees would be looked at for nothing.
        now, ref = self.clock.now_ms(), tip.task.ref
        not_before = now + outcome.retry_after_ms if outcome.retry_after_ms else 0
        self.store.record_delivery(
            ref,
            DeliveryAttempt(
                event.id, announcer.channel, outcome.ok, now, outcome.note[:500], not_before
            ),
        )
        details = {"task_id": ref.task_id, "channel": announcer.channel, "ok": outcome.ok}
        logger.info("delivery attempted", extra=details)
        if outcome.ok:
            return None
        delivery_failed(announcer.channel)
        after = replace(before, tries=before.tries + 1, last_at_ms=now, not_before_ms=not_before)
        if outcome.is_final or after.tries >= MAX_TRIES:
            self._give_up(announcer, event, tip, before)
            return None
        return next_try_ms(after, event.id)

    def _outcome(self, announcer: Announcer, event: Event, tip: History) -> _Outcome:
        target, tenant = tip.task.webhook_url, tip.task.ref.tenant
        url = target if announcer.channel == Channel.WEBHOOK else None
        if url and self.clock.now_ms() < self.store.webhook_disabled_until(tenant, url):
            return _Outcome(False, f"not sent: {_GONE}", is_final=True)
        try:
            return _Outcome(True, announcer.announce(event, target=target))
        except ReceiverGone as exc:
            if url:
                until_ms = self.clock.now_ms() + WEBHOOK_GONE_SECONDS * 1000
                self.store.disable_webhook(tenant, url, until_ms=until_ms)
            return _Outcome(False, f"{exc}: {_GONE}", is_final=True)
        except DeliveryFailed as exc:
            wait_ms = int(exc.retry_after_seconds * 1000)
            return _Outcome(False, str(exc), retry_after_ms=wait_ms)

    def _give_up(
        self, announcer: Announcer, event: Event, tip: History, before: DeliveryState
    ) -> None:
        """List the delivery as dead, and raise the alarm if that is news."""
        ref, channel = tip.task.ref, announcer.channel
        if self.store.give_up_delivery(
            ref, event.id, channel=channel, earlier_tries=before.earlier_tries
        ):
            delivery_given_up()
            details = {"task_id": ref.task_id, "tenant": ref.tenant, "channel": channel}
            logger.warning("delivery given up", extra=details)


def next_try_ms(state: DeliveryState, event_id: str) -> int:
    """When the next try is due: at once for the first, then after the documented delays, or when the receiver says."""
    if not state.tries:
        return 0
    return max(state.last_at_ms + pause_ms(event_id, state.tries), state.not_before_ms)
