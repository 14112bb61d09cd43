"""Planted bugs of operators' work: fences that nobody asks, erasing that leaves something, halves of batches."""

from dataclasses import replace
from typing import Any

from ratchet.app.execute_step import ExecuteStep
from ratchet.app.step_waits import parked
from ratchet.app.suspensions import nobody
from ratchet.app.sweep_tasks import SweepTasks
from ratchet.testing import holdings
from ratchet.testing.batches import InMemoryBatches
from ratchet.testing.store_rows import Head, Partition
from tests.simulation.bugs import Bug, swap, wrap


def _asks_nobody(original: Any, use: Any, *args: Any, **options: Any) -> Any:
    return original(replace(use, is_suspended=nobody), *args, **options)


def _waits_for_ever(_original: Any, _use: Any, event: Any) -> Any:
    return parked(event)


def _misses_one(original: Any, store: Any, batch: Any, tasks: Any, **options: Any) -> Any:
    return original(store, batch, tasks[1:], **options)


def _opens_places(original: Any, partition: Any, due_at_ms: int) -> Any:
    erased = original(partition, due_at_ms)
    partition.plans = {}
    return erased


_SUSPENDED, _ERASED = ("suspended",), ("suspended-erased",)
_SESSION, _ONCE = ("forgotten-session",), ("forgotten-once",)
BUGS = (
    Bug(
        "suspension not asked by a step",
        (wrap(ExecuteStep, "__call__", _asks_nobody),),
        (),
        _SUSPENDED,
    ),
    Bug(
        "suspension not asked when an execution died",
        (wrap(SweepTasks, "reconcile", _asks_nobody),),
        (),
        _ERASED,
    ),
    Bug(
        "suspended step waits for a task that has ended",
        (wrap(ExecuteStep, "_stand_still", _waits_for_ever),),
        (),
        ("suspended-late",),
    ),
    Bug(
        "slot of an erased task kept",
        (swap(holdings, "_return_slot", lambda *_: None),),
        (),
        ("erased-in-line",),
    ),
    Bug(
        "batch without its first task",
        (wrap(InMemoryBatches, "create_batch", _misses_one),),
        (),
        ("batch",),
    ),
    Bug("places of deleted steps left open", (wrap(Partition, "bury", _opens_places),), (), _ONCE),
    Bug("no tombstone", (swap(Head, "tombstone", lambda *_: None),), (), _SESSION),
)
