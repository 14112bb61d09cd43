"""What there is to announce of a task now: its ends, what it asks, and its budget's warnings.

`task.created` and `step.completed` are not announced, but read (`GET /v1/tasks/{id}/events`, app/task_events.py), where
they cost nothing, since they are the log itself. To send one, its deliveries have to be logged on each channel, by a
deliverer that is rung for at each step: two or more writes, a message and an invocation, beside the one write that a
step may cost. Who submits knows that the task was made, and who follows its steps waits on its events.
"""

from dataclasses import replace

from ratchet.app.decision_links import LinkBook
from ratchet.app.events import event_of, warnings_of
from ratchet.contracts.errors import DataMissing
from ratchet.contracts.limits import BUDGET_WARNINGS_PERCENT
from ratchet.contracts.messages import TaskRef
from ratchet.domain.steps import End, Paused
from ratchet.domain.task import History
from ratchet.ports import CheckpointStore, Event


def announced_events(
    store: CheckpointStore, tip: History, book: LinkBook | None = None
) -> list[Event]:
    """The task's warnings and each of its ends, and what it asks now: a question that has been answered is no news.

    A resumed task has ended more than once, and each end is announced: also one that was resumed before anybody heard
    of it, at the latest when the task ends again.
    """
    is_resumed = tip.state.opened_at_ms > tip.task.created_at_ms
    needs_all = is_resumed or _may_have_warned(tip)
    history = (_whole(store, tip.task.ref) if needs_all else tip) or tip
    ends = [replace(history, records=(r,)) for r in history.records if isinstance(r.next, End)]
    occasions = [*ends, tip] if isinstance(tip.next, Paused) else ends
    return [*warnings_of(history), *(event_of(one, book) for one in occasions)]


def _may_have_warned(tip: History) -> bool:
    """Whether a step may have reached a share of the budget; under a cap that was raised since, it was resumed."""
    if any(record.warning is not None for record in tip.records):
        return True
    share = BUDGET_WARNINGS_PERCENT[0] * tip.task.limits.max_cost_usd / 100
    return tip.totals.cost_microusd >= int(share * 1_000_000)


def _whole(store: CheckpointStore, ref: TaskRef) -> History | None:
    try:
        return store.load(ref)
    except DataMissing:
        return None  # its earlier ends cannot be told apart any more
