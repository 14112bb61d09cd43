"""Planted bugs of the usage ledger: what is counted twice, in part, under a wrong name, or not at all."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ratchet.app import account_usage
from ratchet.app.account_usage import AccountUsage
from ratchet.contracts.errors import StoreUnavailable
from ratchet.domain import budget, keys, usage
from ratchet.domain.steps import Totals
from ratchet.domain.usage import Counted
from ratchet.testing.store import InMemoryCheckpoints
from tests.simulation.bugs import Bug, swap, wrap
from tests.simulation.usage import UsageCalls

STORE = InMemoryCheckpoints


def _partition(store: Any, ref: Any) -> Any:
    return store._partitions[keys.task_key(ref)]


def _moves_no_marker(original: Any, store: Any, ref: Any, part: Any) -> Any:
    partition = _partition(store, ref)
    before = partition.counted
    done = original(store, ref, part)
    partition.counted = before
    return done


def _adds_anyway(original: Any, store: Any, ref: Any, part: Any) -> Any:
    _partition(store, ref).counted = part.before
    return original(store, ref, part)


def _marks_first(original: Any, calls: Any, ref: Any, part: Any) -> Any:
    moved = original(calls, ref, replace(part, counters={}))
    return moved and original(calls, ref, replace(part, before=part.after))


def _marks_last(original: Any, calls: Any, ref: Any, part: Any) -> Any:
    added = original(calls, ref, replace(part, after=part.before))
    return added and original(calls, ref, replace(part, counters={}))


def _from_the_beginning(original: Any, task: Any, records: Any, counted: Any) -> Any:
    """A resumed task is counted anew, and marked as if it were not."""
    parts = list(original(task, records, Counted()))
    return [replace(part, before=counted) for part in parts[:1]]


def _shrugs(original: Any, use: Any, tip: Any) -> None:
    try:
        original(use, tip)
    except StoreUnavailable:
        return


def _under_one_model(original: Any, task: Any, record: Any, used: Any) -> Any:
    return original(task, replace(record, result=replace(record.result, others=())), used)


def _in_cents(original: Any, task: Any, record: Any, used: Any) -> Any:
    shares = original(task, record, used)
    return {c: replace(a, cost_microusd=round(a.cost_microusd, -4)) for c, a in shares.items()}


def _counts_answers(original: Any, spec: Any, task: Any, spent: Any, **kwargs: Any) -> Any:
    return original(spec, task, replace(spent, lost_tokens=0), **kwargs)


def _drops_lost_tokens(original: Any, totals: Any, result: Any) -> Any:
    return replace(original(totals, result), lost_tokens=totals.lost_tokens)


BUGS: Sequence[Bug] = (
    Bug(
        "tokens of lost calls are no part of the limit",
        (wrap(budget, "affordable_output", _counts_answers),),
        (),
        ("token-cap",),
    ),
    Bug(
        "tokens of lost calls are no part of the totals",
        (wrap(Totals, "plus", _drops_lost_tokens),),
    ),
    Bug("usage not counted", (swap(AccountUsage, "__call__", lambda *_: None),)),
    Bug("usage counted at each delivery", (wrap(STORE, "count", _moves_no_marker),)),
    Bug("usage counted beside another delivery", (wrap(STORE, "count", _adds_anyway),)),
    Bug("usage marked before it is counted", (wrap(UsageCalls, "count", _marks_first),)),
    Bug("usage counted before it is marked", (wrap(UsageCalls, "count", _marks_last),)),
    Bug("usage that could not be counted is let be", (wrap(AccountUsage, "__call__", _shrugs),)),
    Bug(
        "usage of a resumed task counted from its beginning",
        (wrap(account_usage, "parts", _from_the_beginning),),
        (),
        ("resume-midway",),
    ),
    Bug(
        "usage of several models counted under one",
        (wrap(usage, "shares_of", _under_one_model),),
        (),
        ("doubted",),
    ),
    Bug("usage counted in cents", (wrap(usage, "shares_of", _in_cents),)),
)
