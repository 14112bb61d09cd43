"""What runs of `spending` come to: charged, capped, and in the ledger."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from unittest.mock import patch

from ratchet.app.lost_attempts import uncounted
from ratchet.app.tenant_allowance import is_settled
from ratchet.contracts.charge import NO_CHARGE, Charge
from ratchet.domain import codec
from ratchet.domain.budget import MAX_TOKENS, TENANT_DAY
from ratchet.domain.steps import End, Step, StepRecord, Totals
from ratchet.domain.task import History
from ratchet.observability import logger
from ratchet.testing.store_rows import InMemoryPayloads
from tests.simulation.spending import TENANT, Played, World

T = TypeVar("T")


@dataclass(slots=True)
class Figures:
    """What many runs came to."""

    runs: int = 0
    tasks: int = 0
    overshoots: int = 0
    differences: int = 0
    understated: int = 0
    unfinished: int = 0
    days_passed: int = 0
    kept: int = 0
    faults: int = 0
    calls: int = 0
    unanswered: int = 0
    beside: int = 0
    charged: Charge = NO_CHARGE
    known: Charge = NO_CHARGE
    lost: Charge = NO_CHARGE
    statuses: Counter[str] = field(default_factory=Counter)
    bad_seeds: list[int] = field(default_factory=list)

    def add(self, other: "Figures") -> None:
        """The sum of both."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def told(self, seed: int) -> str:
        """What happened, in words."""
        ends = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()))
        return (
            f"{self.runs} runs with {self.tasks} tasks from seed {seed}: {self.overshoots} tasks and "
            f"{self.days_passed} tenants' days over their cap, {self.kept} runs in which an ended task kept what it "
            f"did not spend, {self.differences} ledgers that are "
            f"not the sum of their steps, {self.understated} below what was charged; {self.calls} model calls "
            f"({self.unanswered} charged without an answer), {self.faults} faults, {self.beside} attempts beside "
            f"another; charged {_told(self.charged)}, in the ledgers {_told(self.known)} "
            f"and {_told(self.lost)} that may have been lost; {ends}"
        )


def play(seed: int, figures: Figures) -> World:
    """One run, judged."""
    world = World(seed)
    world.run()
    figures.runs += 1
    verdicts = [_judge(world, task, figures) for task in world.tasks.values()]
    day_passed, kept = _day_passed(world), _kept(world)
    figures.days_passed += day_passed
    figures.kept += kept
    if day_passed or kept or not all(verdicts):
        figures.bad_seeds.append(seed)
    figures.faults += world.faults
    figures.calls += world.calls
    figures.unanswered += world.unanswered
    figures.beside += world.beside
    return world


def _judge(world: World, task: Played, figures: Figures) -> bool:
    """Whether nothing is wrong with one task."""
    history = world.memory.load(task.ref)
    if history is None:
        raise AssertionError("the task is gone")
    figures.tasks += 1
    figures.statuses[_stands(history)] += 1
    ledger = sum((record.result.charged for record in history.records), NO_CHARGE)
    is_sum = ledger == _total(history.totals) and _adds_up(history.records)
    overshot = task.overshoot or bool(ledger.beyond(task.caps))
    understated = bool(task.charged.beyond(_beside_the_end(task, history) + ledger))
    figures.unfinished += isinstance(history.next, Step)
    figures.overshoots += overshot
    figures.differences += not is_sum
    figures.understated += understated
    lost = sum((record.result.lost for record in history.records), NO_CHARGE)
    figures.charged += task.charged
    figures.known += ledger.beyond(lost)
    figures.lost += lost
    return is_sum and not overshot and not understated


def _told(charge: Charge) -> str:
    return f"${charge.microusd / 1e6:.2f} ({charge.tokens} tokens)"


def _stands(history: History) -> str:
    """How it stands, and which of the less usual caps that is due to."""
    end = history.next
    code = end.failure.code if isinstance(end, End) and end.failure is not None else ""
    caps = {TENANT_DAY: " (tenant)", MAX_TOKENS: " (tokens)"}
    return f"{history.state.status.value}{caps.get(code, '')}"


def _kept(world: World) -> bool:
    """Whether a task that is over has kept what it did not spend."""
    for task in world.tasks.values():
        stands, tip = world.books.allowance(task.ref), world.memory.load_tip(task.ref)
        if stands is None or tip is None or not is_settled(tip):
            continue
        if world.books.moved_at_ms.get(task.ref.task_id, 0) > tip.records[-1].finished_at_ms:
            continue  # an attempt that did not know of the end has drawn, and may have died: until the day is over
        beside = uncounted(world.memory, task.ref, tip.records[-1])
        if stands.ceiling_microusd > tip.totals.cost_microusd + beside.microusd:
            return True
    return False


def _day_passed(world: World) -> bool:
    """Whether a day was charged more than its cap, or than was given away of it."""
    return any(
        not spent <= world.books.given_microusd(TENANT, day) <= world.tenant_cap
        for day, spent in world.charged_on.items()
        if day
    )


def _adds_up(records: tuple[StepRecord, ...]) -> bool:
    before = Totals()
    for record in records:
        if _total(record.totals) != _total(before) + record.result.charged:
            return False
        before = record.totals
    return True


def _total(totals: Totals) -> Charge:
    return Charge(totals.cost_microusd, totals.tokens)


def _beside_the_end(task: Played, history: History) -> Charge:
    """What was spent beside the last steps, of which there is no later step to count it."""
    beside = NO_CHARGE
    for record in reversed(history.records):
        charged = task.charged_at[record.number]
        beside += charged.beyond(record.result.charged)
        if record.result.model:
            break
    return beside


class _Held(bytes):
    """A stored body that remembers what it was made of: packing and reading cost most of the time."""

    data: dict[str, Any]
    read: Any = None


def _pack(data: dict[str, Any]) -> bytes:
    held = _Held(b"x")
    held.data = data
    return held


def _read_once(read: Callable[..., T], body_of: Callable[[Any], Any]) -> Callable[..., T]:
    def once(payloads: Any, stored: Any) -> T:
        held = body_of(stored).inline
        if held.read is None:
            held.read = read(payloads, stored)
        found: T = held.read
        return found

    return once


@contextmanager
def quick() -> Iterator[None]:
    """Our code without logs and without compression."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(codec, "pack", _pack))
        stack.enter_context(patch.object(codec, "unpack", lambda body: body.data))
        for name, body_of in (("read_record", lambda body: body), ("read_task", lambda h: h.body)):
            once = _read_once(getattr(InMemoryPayloads, name), body_of)
            stack.enter_context(patch.object(InMemoryPayloads, name, once))
        for name in ("debug", "info", "warning", "error"):
            stack.enter_context(patch.object(logger, name, lambda *_, **__: None))
        yield


def play_many(first: int, count: int) -> Figures:
    """Runs of consecutive seeds."""
    figures = Figures()
    with quick(), _sweeping_once():
        for seed in range(first, first + count):
            vars(play(seed, figures)).clear()
    return figures


@contextmanager
def _sweeping_once() -> Iterator[None]:
    """Worlds are taken apart by hand: cycles are looked for at the end."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        if was_enabled:
            gc.enable()
