"""What runs of `spending` come to: charged, capped, and in the ledger."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from unittest.mock import patch

from ratchet.domain import codec
from ratchet.domain.steps import Step, StepRecord, Totals
from ratchet.domain.task import History
from ratchet.observability import logger
from ratchet.testing.store_rows import InMemoryPayloads
from tests.simulation.spending import REF, World

T = TypeVar("T")


@dataclass(slots=True)
class Figures:
    """What many runs came to."""

    runs: int = 0
    overshoots: int = 0
    differences: int = 0
    understated: int = 0
    unfinished: int = 0
    faults: int = 0
    calls: int = 0
    unanswered: int = 0
    beside: int = 0
    charged_microusd: int = 0
    cost_microusd: int = 0
    lost_microusd: int = 0
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
            f"{self.runs} runs from seed {seed}: {self.overshoots} overshoots, {self.differences} ledgers that are "
            f"not the sum of their steps, {self.understated} below what was charged; {self.calls} model calls "
            f"({self.unanswered} charged without an answer), {self.faults} faults, {self.beside} attempts beside "
            f"another; charged ${self.charged_microusd / 1e6:.2f}, in the ledgers ${self.cost_microusd / 1e6:.2f} "
            f"and ${self.lost_microusd / 1e6:.2f} that may have been lost; {ends}"
        )


def play(seed: int, figures: Figures) -> World:
    """One run, judged."""
    world = World(seed)
    world.run()
    history = world.memory.load(REF)
    if history is None:
        raise AssertionError("the task is gone")
    figures.runs += 1
    figures.statuses[history.state.status.value] += 1
    ledger = sum(record.result.charged_microusd for record in history.records)
    is_sum = ledger == history.totals.cost_microusd and _adds_up(history.records)
    overshot = world.overshoot or ledger > world.cap * 1_000_000
    understated = world.charged - _beside_the_end(world, history) > ledger
    figures.unfinished += isinstance(history.next, Step)
    figures.overshoots += overshot
    figures.differences += not is_sum
    figures.understated += understated
    if overshot or understated or not is_sum:
        figures.bad_seeds.append(seed)
    figures.faults += world.faults
    figures.calls += world.calls
    figures.unanswered += world.unanswered
    figures.beside += world.beside
    figures.charged_microusd += world.charged
    figures.cost_microusd += sum(r.result.cost_microusd for r in history.records)
    figures.lost_microusd += sum(r.result.lost_microusd for r in history.records)
    return world


def _adds_up(records: tuple[StepRecord, ...]) -> bool:
    before = Totals()
    for record in records:
        charged = record.result.charged_microusd
        if record.totals.cost_microusd != before.cost_microusd + charged:
            return False
        before = record.totals
    return True


def _beside_the_end(world: World, history: History) -> int:
    """What was spent beside the last steps, of which there is no later step to count it."""
    beside = 0
    for record in reversed(history.records):
        charged = world.charged_at[record.number]
        beside += max(0, charged - record.result.charged_microusd)
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
    gc.disable()  # worlds are taken apart by hand; a sweep at the end takes the rest
    with quick():
        for seed in range(first, first + count):
            vars(play(seed, figures)).clear()
    gc.collect()
    return figures
