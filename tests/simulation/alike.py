"""Faults that come to the same thing: with one in place of another a plan is the same schedule, and is played once.

A store that refused and one that could not be reached did nothing, and our code is told the same. A read that was done
before its answer was lost, or before the process died, has left nothing behind.
"""

from collections import Counter
from functools import cache

from tests.simulation.faults import KINDS, Fault, Plan
from tests.simulation.world import World

READS = frozenset(
    {
        "batches.batch",
        "batches.members",
        "holdings.scan",
        "inbox.depth",
        "store.begun_effects",
        "store.board",
        "store.counted",
        "store.counts",
        "store.created_by",
        "store.deliveries",
        "store.due_tasks",
        "store.first_waiting",
        "store.list_tasks",
        "store.load",
        "store.load_remains",
        "store.load_tip",
        "store.reserved",
        "store.session",
        "store.session_tasks",
        "store.throttled",
        "store.webhook_disabled_until",
        "suspensions.find",
        "workflow.describe",
    }
)
WRITES = ("store.", "workflow.", "inbox.", "outbox.")
_OF_A_READ = {
    Fault.UNKNOWN: Fault.REFUSED,
    Fault.LOST: Fault.REFUSED,
    Fault.DIED_AFTER: Fault.DIED_BEFORE,
}
_OF_A_WRITE = {Fault.UNKNOWN: Fault.REFUSED}
_OURS = (
    "submit",
    "cancel",
    "resume",
    "decide",
    "fork",
    "batch",
    "forget",
    "operate",
    "dispatcher",
    "step_executor",
    "deliverer",
    "sweeper",
)


@cache
def stand_in(site: str, fault: Fault) -> Fault:
    """The fault that is played for this one at this call site; itself when there is none like it."""
    role, name = site.split(":")
    if role not in _OURS:
        return fault
    if name in READS:
        return _OF_A_READ.get(fault, fault)
    return _OF_A_WRITE.get(fault, fault) if name.startswith(WRITES) else fault


@cache
def weights(site: str) -> Counter[Fault]:
    """The faults that are played at this call site, and how many each stands for."""
    return Counter(stand_in(site, fault) for fault in KINDS[site])


def weight(plan: Plan) -> int:
    """How many plans this one stands for; 0 when another one is played for it."""
    product = 1
    for (site, _), fault in plan.items():
        product *= weights(site)[fault]
    return product


def played_for(plan: Plan) -> Plan:
    """The plan that is played for this one."""
    return {place: stand_in(place[0], fault) for place, fault in plan.items()}


def last_of(plan: Plan) -> Plan:
    """Of the plans that this one stands for, the one with the last kind of fault at each place."""
    return {
        (site, number): [k for k in KINDS[site] if stand_in(site, k) is fault][-1]
        for (site, number), fault in plan.items()
    }


def trace(world: World) -> tuple[object, ...]:
    """What a schedule was: its calls and when they were, all that was written, done and told."""
    ledger = world.ledger
    return (
        world.network.digest,
        world.scheduler.now_ms,
        tuple(world.injector.calls),
        repr([(ref, seen.bodies) for ref, seen in ledger.tasks.items()]),
        repr(ledger.acted),
        repr([(event.id, event.body) for r in ledger.receivers for event in r.arrived]),
    )


def differ(one: Plan, other: Plan) -> str:
    """What is wrong when two plans that are taken for the same are not."""
    return f"the simulation: {dict(one)} is taken for {dict(other)}, and is another schedule"
