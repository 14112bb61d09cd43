"""Planted bugs of unsafe calls that attempts take over from each other, and of questions to people."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ratchet.app import announce_task, step_attempt
from ratchet.app.decide_interrupt import DecideInterrupt, decision_of
from ratchet.app.resume_task import ResumeTask
from ratchet.app.step_attempt import StepAttempt
from ratchet.app.sweep_tasks import SweepTasks
from ratchet.app.tool_runner import ToolRunner
from ratchet.contracts.names import TaskStatus
from ratchet.domain import keys
from ratchet.domain.steps import Paused
from ratchet.ports import ANY_ATTEMPT
from ratchet.testing.store import InMemoryCheckpoints
from tests.simulation.bugs import Bug, swap, wrap
from tests.simulation.verdict_effects import ASKED

STORE = InMemoryCheckpoints


def _partition(store: Any, ref: Any) -> Any:
    return store._partitions[keys.task_key(ref)]


@contextmanager
def _uncommitted(store: Any, ref: Any, step: int) -> Iterator[None]:
    """The store does not see that the step is committed."""
    steps = _partition(store, ref).steps
    held = steps.pop(step, None)
    try:
        yield
    finally:
        if held is not None:
            steps[step] = held


def _begins_late(original: Any, store: Any, ref: Any, plan: Any, **kwargs: Any) -> Any:
    with _uncommitted(store, ref, kwargs["step"]):
        return original(store, ref, plan, **kwargs)


def _begins_anybody(original: Any, store: Any, ref: Any, plan: Any, **kwargs: Any) -> Any:
    stored = _partition(store, ref).plans.get(kwargs["step"])
    if stored is not None:
        stored.owner = plan.owner
    return original(store, ref, plan, **kwargs)


def _retakes_late(original: Any, store: Any, ref: Any, **kwargs: Any) -> Any:
    _partition(store, ref).plans[kwargs["step"]].owner = kwargs["after"].attempt_id
    with _uncommitted(store, ref, kwargs["step"]):
        return original(store, ref, **kwargs)


def _impatient(original: Any, runner: Any, key: Any, planned: Any, intent: Any) -> Any:
    return original(runner, key, planned, replace(intent, dies_at_ms=0))


def _decides_over(original: Any, store: Any, tip: Any, reopening: Any) -> bool:
    """The last answer counts."""
    if isinstance(tip.next, Paused):
        partition = _partition(store, tip.task.ref)
        partition.steps.pop(reopening.record.number, None)
        partition.head.state = tip.state
    return bool(original(store, tip, reopening))


def _decides_again(
    original: Any, use: Any, ref: Any, interrupt_id: str, request: Any, **who: Any
) -> Any:
    """A question that is closed takes answers as long as another one is open."""
    tip = use.store.load(ref)
    asked = [r.next for r in tip.records if isinstance(r.next, Paused)] if tip else []
    found = next((i for p in asked for i in p.interrupts if i.id == interrupt_id), None)
    if tip is None or found is None or isinstance(tip.next, Paused):
        return original(use, ref, interrupt_id, request, **who)
    last = replace(tip.records[-1], next=Paused((found,), asked[0].then))
    tip = replace(tip, records=(*tip.records[:-1], last))
    use._write(tip, found, decision_of(found, request, by=""))
    return tip


def _starts_paused(original: Any, store: Any, ref: Any, start: Any) -> None:
    original(store, ref, start)
    head = _partition(store, ref).head
    if head is not None and head.state.status is TaskStatus.INPUT_REQUIRED:
        head.state = replace(head.state, status=TaskStatus.RUNNING)
        head.due_at_ms = start.due_at_ms


def _pauses_quietly(original: Any, store: Any, ref: Any, partition: Any, record: Any) -> Any:
    head, state = partition.head, partition.head.state
    original(store, ref, partition, record)
    if isinstance(record.next, Paused):
        head.state = state
    return head


def _announces_ends(original: Any, *given: Any) -> Any:
    return [event for event in original(*given) if event.type != ASKED]


def _announces_no_warning(original: Any, *given: Any) -> Any:
    return [event for event in original(*given) if event.type != "budget.warning"]


def _warns_always(original: Any, history: Any, *args: Any, **kwargs: Any) -> Any:
    return original(replace(history, records=()), *args, **kwargs)


def _resumes_at_once(original: Any, use: Any, *given: Any, **lost: Any) -> Any:
    class Late:
        def now_ms(self) -> int:
            return 1 << 60

    return original(replace(use, clock=Late()), *given, **lost)


def _owns_all(original: Any, *args: Any, **kwargs: Any) -> Any:
    return original(*args, **{**kwargs, "effects_of": ANY_ATTEMPT})


def _commits_taken_over(original: Any, *args: Any, **kwargs: Any) -> Any:
    tells = kwargs.get("effects_of") is not None
    return original(*args, **{**kwargs, "effects_of": ANY_ATTEMPT if tells else None})


any_owner = wrap(STORE, "begin_effect", _begins_anybody)
"""A net: the store lets any attempt begin an effect of a step that is not committed."""
BUGS: Sequence[Bug] = (
    Bug("effect begun after the commit", (wrap(STORE, "begin_effect", _begins_late),)),
    Bug(
        "effect taken over after the commit",
        (wrap(STORE, "retake_effect", _retakes_late),),
        (),
        ("taken-over-cancel",),
    ),
    Bug(
        "step committed beside its effects",
        (wrap(STORE, "commit", _owns_all),),
        (),
        ("unsafe-once",),
    ),
    Bug(
        "committed by who was taken over",
        (wrap(STORE, "commit", _commits_taken_over),),
        (),
        ("taken-over",),
    ),
    Bug("no adoption of what was begun", (swap(StepAttempt, "_adopted", lambda *_: None),)),
    Bug("attempt before not waited for", (wrap(ToolRunner, "_look_after", _impatient),)),
    Bug("last answer counts", (wrap(STORE, "reopen", _decides_over),)),
    Bug("answered question takes another", (wrap(DecideInterrupt, "__call__", _decides_again),)),
    Bug(
        "start overwrites a pause",
        (wrap(STORE, "mark_started", _starts_paused),),
        (),
        ("unanswered",),
    ),
    Bug("pause without the head", (wrap(STORE, "_settle", _pauses_quietly),)),
    Bug("question not announced", (wrap(announce_task, "announced_events", _announces_ends),)),
    Bug(
        "budget warning not announced",
        (wrap(announce_task, "announced_events", _announces_no_warning),),
        (),
        ("cap",),
    ),
    Bug(
        "budget warning of every step",
        (wrap(step_attempt, "warning", _warns_always),),
        (),
        ("cap",),
    ),
    Bug("question open for ever", (swap(SweepTasks, "_is_unanswered", lambda *_: False),)),
    Bug("resume tells nothing", (swap(ResumeTask, "_told", lambda *_, **__: ()),)),
    Bug(
        "resume beside a living attempt",
        (wrap(ResumeTask, "_told", _resumes_at_once),),
        (),
        ("resume-unsafe",),
    ),
)
