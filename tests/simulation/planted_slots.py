"""Planted bugs of running limits: slots that are not counted, not given back, or given back twice."""

from dataclasses import replace
from typing import Any

from ratchet.app import admission, dispatch_task
from ratchet.app.admission import Admission, SlotReturn
from ratchet.domain import keys
from ratchet.domain.admission import Slots
from ratchet.domain.slots import UNLIMITED
from ratchet.domain.steps import Paused
from ratchet.testing.store import InMemoryCheckpoints
from tests.simulation.bugs import Bug, planted, swap, wrap

STORE = InMemoryCheckpoints


def _seats_anybody(original: Any, store: Any, ref: Any, seat: Any) -> Any:
    return original(store, ref, replace(seat, shard_cap=UNLIMITED, tenant_cap=UNLIMITED))


def _seats_again(original: Any, store: Any, ref: Any, seat: Any) -> Any:
    """The counters move although the task holds a slot: its own, whose answer was lost."""
    head = store._partitions[keys.task_key(ref)].head
    if head is not None and head.state.slot is not None:
        head.state = replace(head.state, slot=None)
    return original(store, ref, seat)


def _chooses_anybody(original: Any, heads: Any, slots: Any) -> Any:
    return min(heads, key=lambda candidate: candidate.rank, default=None)


def _unseats_always(original: Any, store: Any, ref: Any, *, shard: int) -> bool:
    head = store._partitions[keys.task_key(ref)].head
    if head is not None and head.state.slot is None:
        store._of_tenants[ref.tenant] -= 1
        store._in_shards[shard] -= 1
    return bool(original(store, ref, shard=shard))


def _unseats_the_living(original: Any, store: Any, ref: Any, *, shard: int) -> bool:
    head = store._partitions[keys.task_key(ref)].head
    store._unseat(head)
    return True


def _keeps_the_pausing(original: Any, returned: Any, tip: Any) -> None:
    if not isinstance(tip.next, Paused):
        original(returned, tip)


def _forgets_the_slot(original: Any, store: Any, tip: Any, reopening: Any) -> bool:
    head = store._partitions[keys.task_key(tip.task.ref)].head
    head.state = replace(head.state, slot=None)
    return bool(original(store, tip, reopening))


def _starts_the_answered(original: Any, store: Any, ref: Any, start: Any) -> None:
    """The start that is noted late is taken for one of the task as it was reopened."""
    head = store._partitions[keys.task_key(ref)].head
    original(store, ref, replace(start, opened_at_ms=head.state.opened_at_ms))


def _starts_whom_it_seated(original: Any, use: Any, asked: Any) -> None:
    """Whoever was seated is started, whatever has become of the slot since."""
    with planted(dispatch_task, "needs_slot", lambda _: False):
        original(use, asked)


def _stays_in_line(original: Any, store: Any, head: Any) -> None:
    head.state = replace(head.state, waiting_for=None)


_ANYBODY = (
    wrap(STORE, "seat", _seats_anybody),
    wrap(admission, "choose", _chooses_anybody),
    swap(Slots, "admits", lambda *_, **__: True),
)
_ONE = ("one-place",)
BUGS = (
    Bug("running limit not checked", _ANYBODY, (), _ONE),
    Bug("slot taken without a look at the counters", (_ANYBODY[0],), (), _ONE),
    Bug("started without a slot", (swap(dispatch_task, "needs_slot", lambda _: False),), (), _ONE),
    Bug("slot never given back", (swap(SlotReturn, "__call__", lambda *_: None),), (), _ONE),
    Bug(
        "slot of a task that asks not given back",
        (wrap(SlotReturn, "__call__", _keeps_the_pausing),),
        (),
        ("one-place-unanswered",),
    ),
    Bug("slot given back twice", (wrap(STORE, "unseat", _unseats_always),), (), _ONE),
    Bug(
        "slot of a task that goes on given back",
        (wrap(STORE, "unseat", _unseats_the_living),),
        (),
        ("one-place-resumed-late",),
    ),
    Bug("slot taken twice", (wrap(STORE, "seat", _seats_again),), (), _ONE),
    Bug(
        "slot forgotten when an answer comes first",
        (wrap(STORE, "reopen", _forgets_the_slot),),
        (),
        ("one-place-resumed", "one-place-asked"),
    ),
    Bug(
        "late start taken for one after the answer",
        (wrap(STORE, "mark_started", _starts_the_answered),),
        (),
        ("started-before-the-answer",),
    ),
    Bug(
        "slot taken for kept over an answer",
        (wrap(dispatch_task.DispatchTask, "_start_all", _starts_whom_it_seated),),
        (),
        ("seated-before-the-answer",),
    ),
    Bug(
        "nobody rings for those that wait", (swap(Admission, "ring", lambda *_, **__: 0),), (), _ONE
    ),
    Bug("line known to nobody", (swap(STORE, "note_waiting", lambda *_, **__: None),), (), _ONE),
    Bug("never out of the line", (wrap(STORE, "_leave_line", _stays_in_line),), (), _ONE),
)
