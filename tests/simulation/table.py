"""The CheckpointStore of the simulation: the in-memory twin behind the network, with an index that lags."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Protocol, TypeVar

from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.delivery_log import DeadPage, Delivery, DeliveryAttempt, DeliveryState
from ratchet.domain import codec, keys
from ratchet.domain.steps import StepPlan, StepRecord
from ratchet.domain.task import History, Task
from ratchet.ports import (
    Begun,
    Clock,
    Created,
    DueTask,
    IdempotencyClaim,
    Intent,
    Reopening,
    Reserved,
    Start,
)
from ratchet.task_list import ListFilter, Page
from ratchet.testing.store import InMemoryCheckpoints
from tests.simulation.bodies import AWS, Bucket
from tests.simulation.calls import Network
from tests.simulation.sessions import SessionCalls
from tests.simulation.slots import SlotCalls
from tests.simulation.usage import UsageCalls

T = TypeVar("T")

MAX_LAG_MS = 30_000


class Index:
    """The `due` index: what it shows of a task is up to half a minute old, and never goes back."""

    def __init__(self, network: Network, dice: Random | None) -> None:
        self._network = network
        self._dice = dice
        self._shown: dict[TaskRef, DueTask] = {}
        self._coming: list[tuple[int, TaskRef, DueTask | None]] = []
        self._latest: dict[TaskRef, int] = {}

    def changed(self, ref: TaskRef, due: DueTask | None) -> None:
        """The table has this now."""
        lag = 0
        if self._dice is not None and self._dice.random() < 0.2:
            lag = int(self._dice.random() * MAX_LAG_MS)
        at = max(self._network.scheduler.now_ms + lag, self._latest.get(ref, 0))
        self._latest[ref] = at
        self._coming.append((at, ref, due))

    def shown(self) -> Mapping[TaskRef, DueTask]:
        """What a query sees now."""
        now = self._network.scheduler.now_ms
        late = []
        for at, ref, due in self._coming:
            if at > now:
                late.append((at, ref, due))
            elif due is None:
                self._shown.pop(ref, None)
            else:
                self._shown[ref] = due
        self._coming = late
        return self._shown

    @property
    def is_settled(self) -> bool:
        """Whether it shows what the table has."""
        self.shown()
        return not self._coming


class Witness(Protocol):
    """Who is told what is read and written."""

    def touched(self, ref: TaskRef) -> None: ...

    def going(self, tenant: str) -> list[TaskRef]: ...

    def wrote(self, ref: TaskRef) -> None: ...

    def effect_begun(self, ref: TaskRef, step: int) -> None: ...

    def effect_recorded(self, ref: TaskRef, step: int, key: str) -> None: ...

    def upgraded(self, ref: TaskRef) -> None: ...


class Fence(Protocol):
    """Who is told what is written of whom."""

    def wrote(self, name: str, ref: TaskRef) -> None: ...


class Checkpoints(SessionCalls, UsageCalls, SlotCalls):
    """Calls the twin through the network; the witness sees every task that is touched."""

    def __init__(
        self,
        network: Network,
        clock: Clock,
        dice: Random | None,
        ledger: "Witness",
        *,
        inline_bytes: int,
    ) -> None:
        self.fence: Fence
        self.twin = InMemoryCheckpoints(clock)
        self.bucket = self.twin.payloads = Bucket(network, inline_bytes)
        self.index = Index(network, dice)
        self._network = network
        self._ledger = ledger

    def due_now(self, ref: TaskRef) -> DueTask | None:
        """When the task is due, from the table itself."""
        due = self._due(ref)
        return None if due is None else DueTask(ref, *due)

    def _due(self, ref: TaskRef) -> tuple[TaskStatus, int] | None:
        partition = self.twin._partitions.get(keys.task_key(ref))
        head = None if partition is None else partition.head
        if head is None or head.ref != ref:
            return None
        return head.state.status, head.due_at_ms

    def _read(self, name: str, ref: TaskRef | None, effect: Callable[[], T]) -> T:
        if ref is not None:
            self._ledger.touched(ref)
        answer, named = self._network.call(
            f"store.{name}", lambda: self.bucket.reading(effect), AWS
        )
        self.bucket.fetch(named)
        return answer

    def _write(self, name: str, ref: TaskRef, effect: Callable[[], T]) -> T:
        self._ledger.touched(ref)

        def written() -> tuple[T, list[str]]:
            self.fence.wrote(name, ref)
            before = self._due(ref)
            answer, named = self.bucket.reading(effect)
            if self._due(ref) != before:
                self.index.changed(ref, self.due_now(ref))
            self._ledger.wrote(ref)
            self.seats.look()
            self.sittings.look()
            return answer, named

        answer, named = self._network.call(f"store.{name}", written, AWS)
        self.bucket.fetch(named)
        return answer

    def added(self, name: str, ref: TaskRef) -> None:
        """A task was written beside others, in one call."""
        self.fence.wrote(name, ref)
        self.index.changed(ref, self.due_now(ref))
        self._ledger.wrote(ref)

    def going(self, tenant: str) -> None:
        """Somebody deletes what there is of the tenant."""
        self.seats.erasing.add(tenant)
        self.sittings.erasing.add(tenant)
        for ref in self._ledger.going(tenant):
            self.index.changed(ref, self.due_now(ref))

    def create_task(self, task: Task, *, claim: IdempotencyClaim | None, due_at_ms: int) -> Created:
        self.bucket.put(task.ref, codec.encode_task(task))
        return self._write(
            "create_task",
            task.ref,
            lambda: self.twin.create_task(task, claim=claim, due_at_ms=due_at_ms),
        )

    def load(self, ref: TaskRef, *, after: int = 0) -> History | None:
        return self._read("load", ref, lambda: self.twin.load(ref, after=after))

    def load_tip(self, ref: TaskRef) -> History | None:
        return self._read("load_tip", ref, lambda: self.twin.load_tip(ref))

    def load_remains(self, ref: TaskRef) -> History | None:
        self._ledger.touched(ref)
        remains, named = self._network.call(
            "store.load_remains",
            lambda: self.bucket.reading(lambda: self.twin.load_remains(ref)),
            AWS,
        )
        self.bucket.fetch([name for name in named if name in self.bucket])  # the others: NoSuchKey
        return remains

    def mark_started(self, ref: TaskRef, start: Start) -> None:
        self._write("mark_started", ref, lambda: self.twin.mark_started(ref, start))

    def commit(
        self, task: Task, record: StepRecord, *, due_at_ms: int, effects_of: str | None = None
    ) -> StepRecord:
        self.bucket.put(task.ref, codec.encode_record(record))
        return self._write(
            "commit",
            task.ref,
            lambda: self.twin.commit(task, record, due_at_ms=due_at_ms, effects_of=effects_of),
        )

    def reopen(self, tip: History, reopening: Reopening) -> bool:
        def effect() -> bool:
            is_reopened = self.twin.reopen(tip, reopening)
            if is_reopened and reopening.upgrade:
                self._ledger.upgraded(ref)
            return is_reopened

        ref, limits = tip.task.ref, reopening.limits
        if limits != tip.task.limits:
            self.bucket.put(ref, codec.encode_task(replace(tip.task, limits=limits)))
        self.bucket.put(ref, codec.encode_record(reopening.record))
        return self._write("reopen", ref, effect)

    def due_tasks(self, shard: str, *, now_ms: int, limit: int) -> Sequence[DueTask]:
        def query() -> list[DueTask]:
            shown = self.index.shown().values()
            found = [d for d in shown if d.due_at_ms <= now_ms and keys.due_key(d.ref) == shard]
            return sorted(found, key=lambda due: due.due_at_ms)[:limit]

        return self._read("due_tasks", None, query)

    def postpone(self, due: DueTask, *, until_ms: int) -> bool:
        return self._write("postpone", due.ref, lambda: self.twin.postpone(due, until_ms=until_ms))

    def begin_effect(
        self, ref: TaskRef, plan: StepPlan, *, step: int, key: str, intent: Intent
    ) -> Intent:
        def effect() -> Intent:
            stands = self.twin.begin_effect(ref, plan, step=step, key=key, intent=intent)
            if stands.attempt_id == intent.attempt_id:
                self._ledger.effect_begun(ref, step)
            return stands

        self.bucket.put(ref, codec.encode_plan(plan))
        return self._write("begin_effect", ref, effect)

    def begun_effects(self, ref: TaskRef, *, step: int) -> Begun | None:
        return self._read("begun_effects", ref, lambda: self.twin.begun_effects(ref, step=step))

    def adopt_plan(self, ref: TaskRef, plan: StepPlan, *, step: int, owner: str) -> bool:
        return self._write(
            "adopt_plan", ref, lambda: self.twin.adopt_plan(ref, plan, step=step, owner=owner)
        )

    def reserved(self, ref: TaskRef, *, step: int) -> Reserved | None:
        return self._read("reserved", ref, lambda: self.twin.reserved(ref, step=step))

    def reserve(self, ref: TaskRef, *, step: int, before: Reserved | None, after: Reserved) -> bool:
        return self._write(
            "reserve",
            ref,
            lambda: self.twin.reserve(ref, step=step, before=before, after=after),
        )

    def retake_effect(
        self, ref: TaskRef, *, step: int, key: str, before: Intent, after: Intent
    ) -> bool:
        def effect() -> bool:
            is_mine = self.twin.retake_effect(ref, step=step, key=key, before=before, after=after)
            if is_mine:
                self._ledger.effect_begun(ref, step)
            return is_mine

        return self._write("retake_effect", ref, effect)

    def end_effect(self, ref: TaskRef, *, step: int, key: str, intent: Intent) -> None:
        def effect() -> None:
            self.twin.end_effect(ref, step=step, key=key, intent=intent)
            self._ledger.effect_recorded(ref, step, key)

        self.bucket.put(ref, {"result": intent.result, "ok": intent.ok})
        self._write("end_effect", ref, effect)

    def list_tasks(
        self, tenant: str, *, where: ListFilter, limit: int, after: str | None = None
    ) -> Page:
        def query() -> Page:
            return self.twin.list_tasks(tenant, where=where, limit=limit, after=after)

        return self._read("list_tasks", None, query)

    def deliveries(self, ref: TaskRef, event_id: str) -> Mapping[str, DeliveryState]:
        return self._read("deliveries", ref, lambda: self.twin.deliveries(ref, event_id))

    def record_delivery(self, ref: TaskRef, attempt: DeliveryAttempt) -> None:
        self._write("record_delivery", ref, lambda: self.twin.record_delivery(ref, attempt))

    def give_up_delivery(
        self, ref: TaskRef, event_id: str, *, channel: str, earlier_tries: int
    ) -> bool:
        return self._write(
            "give_up_delivery",
            ref,
            lambda: self.twin.give_up_delivery(
                ref, event_id, channel=channel, earlier_tries=earlier_tries
            ),
        )

    def redeliver(self, ref: TaskRef, event_id: str, *, channel: str) -> bool:
        return self._write(
            "redeliver", ref, lambda: self.twin.redeliver(ref, event_id, channel=channel)
        )

    def task_deliveries(self, ref: TaskRef) -> Sequence[Delivery]:
        return self._read("task_deliveries", ref, lambda: self.twin.task_deliveries(ref))

    def dead_deliveries(self, tenant: str, *, limit: int, after: str | None = None) -> DeadPage:
        raise NotImplementedError("no use case of the simulation lists dead deliveries")

    def disable_webhook(self, tenant: str, url: str, *, until_ms: int) -> None:
        def effect() -> None:
            self.twin.disable_webhook(tenant, url, until_ms=until_ms)

        self._network.call("store.disable_webhook", effect, AWS)

    def enable_webhook(self, tenant: str, url: str) -> None:
        def effect() -> None:
            self.twin.enable_webhook(tenant, url)

        self._network.call("store.enable_webhook", effect, AWS)

    def webhook_disabled_until(self, tenant: str, url: str) -> int:
        return self._read(
            "webhook_disabled_until", None, lambda: self.twin.webhook_disabled_until(tenant, url)
        )

    def due_again(self, ref: TaskRef, *, ended_at_ms: int, at_ms: int) -> None:
        self._write(
            "due_again", ref, lambda: self.twin.due_again(ref, ended_at_ms=ended_at_ms, at_ms=at_ms)
        )

    def erase(self, ref: TaskRef) -> int:
        if self.twin.load_tip(ref) is None:
            self.bucket.clear_of(ref)
        return self._write("erase", ref, lambda: self.twin.erase(ref))
