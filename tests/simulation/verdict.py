"""The invariants at the end of a story."""

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from ratchet.contracts.errors import DataMissing, EffectOutcomeUnknown
from ratchet.contracts.limits import MAX_RESTARTS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import InterruptKind, TaskStatus
from ratchet.domain.forking import FORK_MARK
from ratchet.domain.identifiers import event_id
from ratchet.domain.keys import payload_prefix
from ratchet.domain.messages import Message
from ratchet.domain.steps import End, Paused, StepRecord
from ratchet.domain.task import History
from tests.simulation.batches import judge_batches
from tests.simulation.brain import AGENTS, SMALL, rounds_of
from tests.simulation.budget_warnings import ids_of, judge_warnings
from tests.simulation.faults import Fault
from tests.simulation.ledger import Ledger, Seen
from tests.simulation.story import Cancel, Forget, Fork, Submit, Suspend, Visit
from tests.simulation.tenancy import judge_tenancy
from tests.simulation.usage import judge_tokens, judge_usage
from tests.simulation.verdict_effects import ASKED, judge_effects, judge_questions, left_unanswered

if TYPE_CHECKING:
    from tests.simulation.world import World

BAD_OUTPUT = {Fault.MALFORMED, Fault.UNKNOWN_TOOL, Fault.TRUNCATED}
TOOLS_OF = {agent.name: agent.tools for agent in AGENTS}
CALLS_OF_A_DOLLAR = 12
"""So many lost calls of o3, charged at their worst, use up most of what a fork without limits may cost."""
OUT = {Fault.UNKNOWN, Fault.LOST}


def judge(ledger: Ledger, world: "World") -> None:
    """Everything that must hold when nothing can happen any more."""
    judge_usage(ledger, world)
    if not world.is_over():
        ledger.violate(
            f"I1: not at rest after {world.scheduler.now_ms / 3.6e6:.1f} h: {_why(world)}"
        )
    for ref in (*world.people.accepted.values(), *world.people.forks):
        if ref not in ledger.tasks:
            ledger.violate(f"I1: {ref.task_id} was accepted and is not in the table")
    for ref, seen in ledger.tasks.items():
        if not seen.is_erased:
            _judge_task(ledger, world, ref, seen)
    _judge_keys(ledger, world)
    _judge_events(ledger, world)
    _judge_bucket(ledger, world)
    world.store.seats.judge()
    world.store.sittings.judge()
    world.memories.judge()
    judge_batches(world)
    judge_tenancy(world)


def _judge_bucket(ledger: Ledger, world: "World") -> None:
    """Of an erased task no body is left. One of a task that was never made is left to the bucket's own expiry."""
    erased = [ref for ref, seen in ledger.tasks.items() if seen.is_erased]
    for key in world.store.bucket:
        if any(key.startswith(payload_prefix(ref)) for ref in erased):
            ledger.violate(f"I10: the body {key} was left behind")


def _judge_task(ledger: Ledger, world: "World", ref: TaskRef, seen: Seen) -> None:
    if world.story.robbed_at_ms:
        _judge_robbed(ledger, world, ref)
        return
    history = world.store.twin.load(ref)
    if history is None:
        ledger.violate(f"I1: {ref.task_id} cannot be read")
        return
    if not isinstance(history.next, End):
        ledger.violate(f"I1: {ref.task_id} is {history.state.status.value} and has not ended")
        return
    cap = history.task.limits.max_cost_usd * 1_000_000
    if history.totals.cost_microusd > cap:
        ledger.violate(f"I6: {ref.task_id} spent {history.totals.cost_microusd} of {cap}")
    judge_tokens(ledger, history)
    worked = len(history.work) - len(replace(history, records=()).work)
    if worked > history.task.limits.max_steps:
        ledger.violate(f"I6: {ref.task_id} took {worked} steps")
    _judge_fork(ledger, world, history)
    for record in seen.ends:
        _judge_end(ledger, world, ref, history.records[max(0, record.number - 2) : record.number])
    if history.next.status is TaskStatus.SUCCEEDED:
        judge_effects(ledger, ref, history.records)
        ledger.approvals.judge(ref, history.records, is_steady=not _is_upgraded(world))
        _judge_program(ledger, world, history)
    _judge_announced(ledger, world, ref, history.records[-1])
    judge_questions(ledger, world, history)


def _is_upgraded(world: "World") -> bool:
    """Whether another version of the agents may have run: it does not make what was approved of the one before."""
    return bool(world.story.deployed_at_ms) or Fault.UPGRADED in world.injector.injected.values()


def _judge_robbed(ledger: Ledger, world: "World", ref: TaskRef) -> None:
    """A task of which bodies were taken has ended, well or because of that, and it was said."""
    remains = world.store.twin.load_remains(ref)
    end = remains.next if remains is not None else None
    if remains is None or not isinstance(end, End):
        ledger.violate(f"I1: {ref.task_id} was robbed and has not ended")
        return
    faults = len(world.injector.injected)
    if end.failure is not None and end.failure.code != DataMissing.code and not faults:
        ledger.violate(f"I1: {ref.task_id} was robbed and failed of {end.failure.code}")
    _judge_announced(ledger, world, ref, remains.records[-1])


def _judge_fork(ledger: Ledger, world: "World", history: History) -> None:
    """A fork begins with what its parent has recorded, and with nothing else."""
    fork, ref = history.task.fork, history.task.ref
    parent = fork and world.store.twin.load(TaskRef(ref.tenant, fork.parent_task_id))
    if not fork or not parent:
        return
    before = replace(parent, records=parent.records[: fork.step])
    if _unsaid(replace(history, records=()).messages) != _unsaid(before.messages):
        ledger.violate(f"I3: {ref.task_id} did not inherit what {parent.task.ref.task_id} did")


def _unsaid(messages: list[Message]) -> list[Message]:
    return [m for m in messages if not (m.content or "").startswith(FORK_MARK)]


def _judge_keys(ledger: Ledger, world: "World") -> None:
    """However often a fork was asked for with one key, it was made once."""
    made: Counter[tuple[str, str]] = Counter()
    for ref, seen in ledger.tasks.items():
        history = None if seen.is_erased else world.store.twin.load_remains(ref)
        if history is not None and history.task.fork is not None:
            made[ref.tenant, history.task.metadata["key"]] += 1
    for (tenant, key), count in made.items():
        if count > 1:
            ledger.violate(f"I2: the key {key!r} of {tenant} made {count} forks")


def _judge_end(
    ledger: Ledger, world: "World", ref: TaskRef, records: tuple[StepRecord, ...]
) -> None:
    """A task ends without success only when something happened that explains it; of these records the last ends it."""
    end = records[-1].next
    if not isinstance(end, End) or end.failure is None:
        return
    code = end.failure.code
    is_explained = (
        left_unanswered(world, records)
        if code == EffectOutcomeUnknown.code
        else _explanations(world).get(code, False)
    )
    if not is_explained:
        ledger.violate(f"I1: {ref.task_id} failed of {code} without a cause: {end.failure.message}")


def _explanations(world: "World") -> dict[str, bool]:
    """For each code of failure: whether something happened in this story that may cause it."""
    faults, story = world.injector.injected, world.story
    kinds = list(faults.values())
    submits = [act for act in world.people.acts if isinstance(act, Submit)]
    deaths = len(faults) + story.dying_executions + story.dying_steps
    return {
        "execution_failed": deaths > MAX_RESTARTS,
        "model_rejected": Fault.REJECTED in kinds or story.rejecting_ms > 0,
        "context_overflow": Fault.OVERFLOW in kinds,
        "model_unavailable": sum(k in OUT for k in kinds) > 3 or story.outage_ms > 0,
        "model_output": sum(k in BAD_OUTPUT for k in kinds) > 2,
        "cancelled": any(isinstance(act, Cancel | Forget) for act in world.people.acts)
        or any(submit.on_conflict in ("interrupt", "rollback") for submit in submits),
        "deadline": _outlasts_deadline(world)
        or (story.visits != (Visit(),) and any(submit.session for submit in submits)),
        "max_steps": any(submit.agent == "hasty" for submit in submits),
        "max_cost_usd": any(submit.max_cost_usd for submit in submits)
        or (len(faults) >= CALLS_OF_A_DOLLAR and _asks_the_dearest(world)),
        "max_tokens": any(submit.max_tokens for submit in submits),
    }


def _asks_the_dearest(world: "World") -> bool:
    return any(isinstance(act, Fork) and act.model is not None for act in world.people.acts)


def _outlasts_deadline(world: "World") -> bool:
    """Whether a tenant is suspended for longer than a task of it may take: its deadline does not wait."""
    still = [act for act in world.people.acts if isinstance(act, Suspend) and not act.erases]
    return any(
        suspend.resumes_after_ms >= 1000 * (submit.deadline_seconds or SMALL.deadline_seconds)
        for suspend in still
        for submit in world.people.acts
        if isinstance(submit, Submit) and submit.tenant == suspend.tenant
    )


def _judge_program(ledger: Ledger, world: "World", history: History) -> None:
    """What the goal asks for was done, in its order, once: also when parts of the history were summarized."""
    if world.story.fickle or BAD_OUTPUT & set(world.injector.injected.values()):
        return  # the model did not stick to the program
    if not TOOLS_OF[history.task.agent]:
        return
    runs = [result.tool_runs for result in history.work if result.tool_runs]
    done = tuple(tuple(run.name for run in round_) for round_ in runs)
    wanted = rounds_of(history.task.goal)
    if _asked_of_an_effect(history):
        # An approved call after one of unknown outcome is not made, and the scripted model does not ask again.
        wanted = [
            [n for n in names if n in set(did)] for names, did in zip(wanted, done, strict=False)
        ]
        wanted = tuple(map(tuple, wanted))
    if done != wanted:
        ref = history.task.ref
        ledger.violate(f"I3: {ref.task_id} was to do {history.task.goal} and did {done}")


def _asked_of_an_effect(history: History) -> bool:
    asked = [i for r in history.records if isinstance(r.next, Paused) for i in r.next.interrupts]
    kinds = {interrupt.kind for interrupt in asked}
    return kinds >= {InterruptKind.EFFECT_UNKNOWN, InterruptKind.APPROVAL}


def _judge_announced(ledger: Ledger, world: "World", ref: TaskRef, record: StepRecord) -> None:
    if not isinstance(record.next, End):
        return
    wanted = event_id(ref, f"task.{record.next.status.value}", record.number)
    tries = world.store.twin.deliveries(ref, wanted)
    tip = world.store.twin.load_remains(ref)
    for receiver in ledger.receivers:
        if receiver.channel == "webhook" and (tip is None or tip.task.webhook_url is None):
            continue
        arrived = any(event.id == wanted for event in receiver.arrived)
        log = tries.get(receiver.channel)
        is_parked = log is not None and log.is_dead and wanted not in world.people.sent_again
        if not arrived and not is_parked:
            ledger.violate(f"I8: {ref.task_id} has ended and {receiver.channel} was not told")


def _judge_events(ledger: Ledger, world: "World") -> None:
    known: dict[str, TaskRef] = {}
    for ref, seen in ledger.tasks.items():
        for record in seen.ends:
            if isinstance(record.next, End):
                name = event_id(ref, f"task.{record.next.status.value}", record.number)
                known[name] = ref
        known |= {event_id(ref, ASKED, number): ref for number in seen.pauses}
        known |= dict.fromkeys(ids_of(ref, seen.warned), ref)
        judge_warnings(ledger, world, ref, seen)
    bodies: defaultdict[str, set[bytes]] = defaultdict(set)
    for receiver in ledger.receivers:
        for event in receiver.arrived:
            bodies[event.id].add(event.body)
            if event.id not in known:
                ledger.violate(f"I2: {event.id} was announced, and nothing like it is recorded")
            elif event.attributes["tenant"] != known[event.id].tenant:
                ledger.violate(f"I9: {event.id} was announced for another tenant")
    for name, different in bodies.items():
        if len(different) > 1:
            ledger.violate(f"I8: {name} was announced with {len(different)} different bodies")


def _why(world: "World") -> str:
    heads = {
        ref.task_id: (p.head.state.status.value, p.head.state.generation)
        for ref in world.ledger.tasks
        if (p := world.ledger.partition(ref)).head is not None
    }
    return (
        f"{world.scheduler.busy} busy, {len(world.inbox.messages)}+{len(world.outbox.messages)} "
        f"messages, tasks {heads}"
    )
