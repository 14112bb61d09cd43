"""Announce a finished or asking task on every channel. Safe to repeat: same id, same bytes, arrived ones skipped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ratchet.app.account_usage import AccountUsage
from ratchet.app.admission import SlotReturn
from ratchet.app.events import event_of, warnings_of
from ratchet.app.remains import tip_or_remains
from ratchet.app.tenant_allowance import TenantGovernor
from ratchet.contracts.errors import DataMissing, DeliveryFailed
from ratchet.contracts.limits import BUDGET_WARNINGS_PERCENT, DELIVERY_DELAYS_SECONDS
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.domain.steps import End, Paused
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
    slots: SlotReturn | None = None
    tenants: TenantGovernor = field(default_factory=TenantGovernor)

    def __call__(self, bell: Doorbell) -> None:
        """Deliver warnings, ends and the open question to every channel on which they have not arrived.

        What does not arrive is due later; a warning of a task that goes on, when that ends or asks.

        A resumed task has ended more than once, and each end is announced: also one that was resumed before anybody
        heard of it, at the latest when the task ends again.

        The slot of an ended or paused task goes to the next in line.

        Raises:
            StoreUnavailable: the message must come back.
        """
        tip = tip_or_remains(self.store, bell.task)
        if tip is None:
            logger.info("nothing to announce", extra={"task_id": bell.task.task_id})
            return
        if self.slots is not None and isinstance(tip.next, End | Paused):
            self.slots(tip)  # first of all: a task that cannot be announced must not keep its slot
        due = [at for event in self._events(tip) for at in self._announce(event, tip)]
        if isinstance(tip.next, End | Paused):
            AccountUsage(self.store)(tip)  # not before: the ledger can wait for who is told
            self.tenants.give_back(self.store, bell.task)
            last = tip.records[-1]
            closes = tip.next.expires_at_ms if isinstance(tip.next, Paused) else erase_at(last)
            at_ms = min([*due, closes])
            self.store.due_again(bell.task, ended_at_ms=last.finished_at_ms, at_ms=at_ms)

    def _events(self, tip: History) -> list[Event]:
        """Its warnings and each of its ends, and what it asks now: a question that has been answered is no news."""
        is_resumed = tip.state.opened_at_ms > tip.task.created_at_ms
        needs_all = is_resumed or _may_have_warned(tip)
        history = (self._whole(tip.task.ref) if needs_all else tip) or tip
        ends = [replace(history, records=(r,)) for r in history.records if isinstance(r.next, End)]
        occasions = [*ends, tip] if isinstance(tip.next, Paused) else ends
        return [*warnings_of(history), *map(event_of, occasions)]

    def _whole(self, ref: TaskRef) -> History | None:
        try:
            return self.store.load(ref)
        except DataMissing:
            return None  # its earlier ends cannot be told apart any more

    def _announce(self, event: Event, tip: History) -> list[int]:
        """Try the channels whose time has come; when to try the others."""
        log = self.store.deliveries(tip.task.ref, event.id)
        waits = [self._try(announcer, event, tip, log) for announcer in self.announcers]
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


def _may_have_warned(tip: History) -> bool:
    """Whether a step may have reached a share of the budget; under a cap that was raised since, it was resumed."""
    if any(record.warning is not None for record in tip.records):
        return True
    share = BUDGET_WARNINGS_PERCENT[0] * tip.task.limits.max_cost_usd / 100
    return tip.totals.cost_microusd >= int(share * 1_000_000)


def next_try_ms(state: DeliveryState) -> int:
    """When the next try is due: at once for the first, then after the documented delays."""
    if not state.tries:
        return 0
    return state.last_at_ms + DELIVERY_DELAYS_SECONDS[state.tries - 1] * 1000
