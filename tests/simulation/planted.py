"""The planted bugs, and the nets that can be taken away beside them: patches for tests only, none in the product."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

from ratchet.app import (
    dispatch_task,
    events,
    step_attempt,
    step_waits,
    sweep_tasks,
    tool_runner,
)
from ratchet.app.cancel_task import CancelTask
from ratchet.app.execute_step import ExecuteStep
from ratchet.app.sweep_tasks import SweepTasks, Swept
from ratchet.app.tool_runner import ToolRunner
from ratchet.contracts import limits
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.messages import Doorbell
from ratchet.contracts.names import TaskStatus
from ratchet.domain import budget, codec, keys
from ratchet.domain.steps import End, Failure
from ratchet.domain.task import History, TaskState, end_record
from ratchet.testing.store import InMemoryCheckpoints
from tests.simulation import (
    orchestrator,
    planted_approvals,
    planted_bodies,
    planted_memories,
    planted_offices,
    planted_pauses,
    planted_sessions,
    planted_slots,
    planted_steps,
    planted_usage,
)
from tests.simulation.bugs import Bug, Patch, planted, swap, wrap
from tests.simulation.doors import Numbers
from tests.simulation.queues import Queue

FAR_MS = 1 << 60


def _far_due(original: Any, *args: Any, **kwargs: Any) -> Any:
    return original(*args, **{**kwargs, "due_at_ms": FAR_MS})


def _commit_over(original: Any, store: Any, task: Any, record: Any, **kwargs: Any) -> Any:
    store._partitions[keys.task_key(task.ref)].steps.pop(record.number, None)
    return original(store, task, record, **kwargs)


def _inherits_nothing(original: Any, fork: Any) -> Any:
    return {**original(fork), "inherited": []}


def _ends_quietly(original: Any, store: Any, ref: Any, partition: Any, record: Any) -> Any:
    head, state = partition.head, partition.head.state
    original(store, ref, partition, record)
    if isinstance(record.next, End):
        head.state = state
    return head


def _ends_again(original: Any, store: Any, ref: Any, partition: Any, record: Any) -> Any:
    head = partition.head
    if not isinstance(record.next, End):
        return original(store, ref, partition, record)
    status = record.next.status
    head.state = replace(head.state, status=status, updated_at_ms=record.finished_at_ms)
    return head


def _starts_always(original: Any, store: Any, ref: Any, start: Any) -> None:
    head = store._partitions[keys.task_key(ref)].head
    head.state = TaskState(
        TaskStatus.RUNNING,
        start.at_ms,
        head.state.opened_at_ms,
        start.generation,
        start.restarts,
        start.at_step,
        start.machine_version,
    )
    head.due_at_ms = start.due_at_ms


def _reopens_always(original: Any, store: Any, tip: Any, reopening: Any) -> bool:
    partition = store._partitions[keys.task_key(tip.task.ref)]
    partition.steps.pop(reopening.record.number, None)
    state = partition.head.state
    partition.head.state = replace(
        state, status=tip.state.status, updated_at_ms=tip.state.updated_at_ms
    )
    return bool(original(store, tip, reopening))


def _due_always(original: Any, store: Any, ref: Any, *, ended_at_ms: int, at_ms: int) -> None:
    head = store._partitions[keys.task_key(ref)].head
    if head is not None and head.state.status.is_terminal:
        head.due_at_ms = at_ms


def _no_claim(original: Any, store: Any, task: Any, *, claim: Any, due_at_ms: int) -> Any:
    return original(store, task, claim=None, due_at_ms=due_at_ms)


def _cancels_over(original: Any, use: Any, ref: Any) -> Any:
    tip = use.store.load_tip(ref)
    end = End(TaskStatus.CANCELLED, failure=Failure("cancelled", "cancelled"))
    record = end_record(tip, end, now_ms=use.clock.now_ms())
    use.store.commit(tip.task, record, due_at_ms=record.finished_at_ms)
    return tip


def _fails_on_lost(original: Any, use: Any, history: Any, done: Any, event: Any) -> Any:
    try:
        return original(use, history, done, event)
    except StoreUnavailable:
        end = End(TaskStatus.FAILED, failure=Failure("internal", "the commit failed"))
        failed = replace(done, record=replace(done.record, next=end))
        return original(use, history, failed, event)


def _postpones_for_ever(original: Any, store: Any, due: Any, *, until_ms: int) -> Any:
    return original(store, due, until_ms=FAR_MS)


def _deletes_first(original: Any, queue: Any, batch: Any) -> Any:
    for message in batch:
        queue.messages.pop(message, None)
    return original(queue, batch)


def _raising_batch(event: Any, handle: Any) -> Any:
    for record in event["Records"]:
        handle(Doorbell.from_json(record["body"]))
    return {"batchItemFailures": []}


def _numbered(original: Any, *args: Any) -> str:
    return f"{original(*args)}x{next(_NUMBERS)}"


_NUMBERS = count(1)


def _dated(original: Any, type_: str, at_ms: int, data: Any) -> Any:
    return original(type_, at_ms + next(_NUMBERS), data)


def _names_no_next(original: Any, output: Any) -> Any:
    data = original(output)
    return (
        {**data, "next_generation": output.execution.generation}
        if "next_generation" in data
        else data
    )


def _generous(spec: Any, task: Any, spent: Any, *, input_tokens: int) -> int:
    return 8_192


@contextmanager
def _no_sweeps() -> Iterator[None]:
    with (
        planted(SweepTasks, "__call__", lambda self: Swept()),
        planted(SweepTasks, "reconcile", lambda self, ref: None),
    ):
        yield


STORE = InMemoryCheckpoints
NETS: dict[str, Patch] = {
    "sweeper": _no_sweeps,
    "store refuses a second end": wrap(STORE, "_settle", _ends_again),
    "restarts, and 25,000 events": planted_steps.small_executions,
    "one attempt begins a step's effects": planted_pauses.any_owner,
    "the approved action": planted_approvals.any_action,
    **planted_sessions.NETS,
}
_LARGE = ("large-result",)
BUGS: Sequence[Bug] = (
    Bug("no due at create", (wrap(STORE, "create_task", _far_due),)),
    Bug("no sweeper", (_no_sweeps,)),
    Bug("random execution name", (wrap(orchestrator, "execution_name", _numbered),)),
    Bug("commit without condition", (wrap(STORE, "commit", _commit_over),)),
    Bug("end without the head", (wrap(STORE, "_settle", _ends_quietly),)),
    Bug("end without due", (wrap(STORE, "commit", _far_due),)),
    Bug("older execution marks itself started", (wrap(STORE, "mark_started", _starts_always),)),
    Bug("reopen without condition", (wrap(STORE, "reopen", _reopens_always),)),
    Bug(
        "due again without condition",
        (wrap(STORE, "due_again", _due_always),),
        (),
        ("resume-late",),
    ),
    Bug("idempotency key ignored", (wrap(STORE, "create_task", _no_claim),)),
    Bug(
        "fork forgets what it inherits",
        (wrap(codec, "_encode_fork", _inherits_nothing),),
        (),
        ("fork",),
    ),
    Bug(
        "fork begins anew",
        (swap(History, "results", property(lambda h: [r.result for r in h.records])),),
        (),
        ("fork",),
    ),
    Bug("tenant not in the key", (swap(keys, "task_key", lambda ref: f"TASK#{ref.task_id}"),)),
    Bug("random tool key", (wrap(tool_runner, "tool_call_key", _numbered),)),
    Bug(
        "tool key by place in the answer",
        (planted_steps.key_by_place,),
        ("one attempt begins a step's effects",),
        ("unsafe-fickle",),
    ),
    Bug("no intent before an unsafe tool", (swap(ToolRunner, "_once", ToolRunner._call),)),
    Bug("foreign intent run again", (planted_steps.blind_rerun,)),
    Bug("same attempt id for every attempt", (swap(Numbers, "attempt_id", lambda _: "a"),)),
    Bug(
        "result of an unsafe tool not recorded", (swap(STORE, "end_effect", lambda *_, **__: None),)
    ),
    Bug("lost response taken for a failure", (wrap(ExecuteStep, "_commit", _fails_on_lost),)),
    Bug("loser keeps its own step", (planted_steps.stubborn_loser,)),
    Bug("warm history taken for complete", (planted_steps.trusted_history,)),
    Bug("summary taken for work", (planted_steps.busy_summary,)),
    Bug("committed step run again", (planted_steps.forgetful,)),
    Bug("cap not checked", (swap(budget, "affordable_output", _generous),), (), ("cap",)),
    Bug(
        "step limit not checked",
        (swap(step_attempt, "check_limits", lambda *_, **__: None),),
        (),
        ("limit",),
    ),
    Bug("throttling taken for a failure", (swap(step_waits, "is_worth_waiting", lambda _: False),)),
    Bug("patience spent on throttling", (planted_steps.impatient,)),
    Bug("give-up never commits", (planted_steps.no_give_up,), ("sweeper",)),
    Bug("restarts without end", (swap(limits, "MAX_RESTARTS", 10**9),)),
    Bug(
        "roll-over without generation",
        (planted_steps.wrong_generation(_names_no_next),),
        ("sweeper",),
    ),
    Bug(
        "roll-over never",
        (planted_steps.no_roll_over,),
        ("restarts, and 25,000 events",),
        ("roll-over",),
    ),
    Bug(
        "roll-over takes the current version",
        (planted_steps.unpinned(dispatch_task),),
        (),
        ("roll-over",),
    ),
    Bug(
        "replacement takes the current version",
        (planted_steps.unpinned(sweep_tasks),),
        (),
        ("deployed",),
    ),
    Bug(
        "execution found taken for a current one",
        (planted_steps.claims_current,),
        (),
        ("deployed",),
    ),
    Bug("resume forgets the version", (planted_steps.always_upgrades,), (), ("resume-midway",)),
    Bug("sweeper trusts the index", (planted_steps.stale_sweeper,), (), ("robbed",)),
    Bug("sweeper restarts the living", (planted_steps.hasty_sweeper,)),
    Bug("sweeper looks once only", (wrap(STORE, "postpone", _postpones_for_ever),)),
    Bug(
        "cancel whatever the status",
        (wrap(CancelTask, "__call__", _cancels_over),),
        ("store refuses a second end",),
    ),
    Bug(
        "message deleted before the work", (wrap(Queue, "_hand_out", _deletes_first),), ("sweeper",)
    ),
    Bug("a batch fails as a whole", (planted_steps.raising_batch(_raising_batch),), ("sweeper",)),
    Bug("webhook id of each attempt", (wrap(events, "event_id", _numbered),)),
    Bug("body with a new timestamp", (wrap(events, "_envelope", _dated),)),
    Bug("failed announcement taken for delivered", (planted_steps.careless,)),
    Bug(
        "tries not counted",
        (swap(STORE, "record_delivery", lambda *_: None),),
        (),
        ("webhook-gone",),
    ),
    Bug(
        "webhook sent again and still disabled",
        (swap(STORE, "enable_webhook", lambda *_: None),),
        (),
        ("webhook-410",),
    ),
    Bug(
        "dead delivery stays dead",
        (swap(STORE, "redeliver", lambda *_, **__: True),),
        (),
        ("webhook-410",),
    ),
    Bug("announced before the end", (planted_steps.early_announcer,)),
    Bug("timeout of a step not retried", (planted_steps.no_retry,)),
    *planted_pauses.BUGS,
    *planted_approvals.BUGS,
    *planted_usage.BUGS,
    *planted_slots.BUGS,
    *planted_sessions.BUGS,
    *planted_memories.BUGS,
    *planted_offices.BUGS,
    Bug("large body not put", (planted_bodies.no_put,), (), _LARGE),
    Bug("large body taken for put", (planted_bodies.careless_put,), (), _LARGE),
    Bug("bodies left behind", (planted_bodies.no_clearing,), (), _LARGE),
    Bug("content in a log record", (planted_bodies.talkative_log,)),
    Bug("content in an error", (planted_bodies.talkative_error,), (), ("resume",)),
)
