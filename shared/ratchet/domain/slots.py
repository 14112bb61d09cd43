"""Slots: what is counted while a task runs, what is known of those that wait, and the limits in force. Pure.

A task holds a slot from its admission until its end or pause has been seen. The slot is marked on the task's head, and
the mark and both counters (the tenant's, and a shard of the deployment's) change in one transaction: the counters are
the number of marks at any time, so nothing can leak and nothing has to be counted again.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ratchet.contracts import limits
from ratchet.contracts.names import WaitingFor
from ratchet.domain.admission import Candidate, Limit, LimitRules, Slots
from ratchet.domain.task import History

SHARDS = 8
"""Counters of the deployment. StepFunctions starts 300 executions a second: with as many ends, 150 write units each."""
UNLIMITED = 1_000_000_000
NOBODY = ""
"""Stands for the tenants of whom only the sum is known; no tenant is called that."""


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """How many tasks may run: of each tenant, and of the deployment; None for as many as there are."""

    tenant_limit: int | None = None
    deployment: LimitRules | None = None

    @property
    def is_on(self) -> bool:
        """Whether anything is limited."""
        return self.tenant_limit is not None or self.deployment is not None

    def in_force(self, limit: Limit | None) -> int:
        """The deployment's limit, given the one that was stored last."""
        if self.deployment is None:
            return UNLIMITED
        value = self.deployment.minimum if limit is None else limit.value
        return min(max(value, self.deployment.minimum), self.deployment.maximum)


class Seating(StrEnum):
    """What came of admitting a task."""

    SEATED = "seated"
    """It holds a slot now, or held one already."""
    FULL = "full"
    NOT_WAITING = "not_waiting"
    """It has ended, or runs."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A slot to take: in which shard, and up to how many tasks the shard and the tenant may run."""

    shard: int
    shard_cap: int
    tenant_cap: int
    due_at_ms: int


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a tenant's line."""

    candidate: Candidate
    waiting_for: WaitingFor
    due_at_ms: int


@dataclass(frozen=True, slots=True)
class Board:
    """What admission keeps beside the counters: the limit, and when each tenant was last seen to wait."""

    limit: Limit | None = None
    adjusted_at_ms: int = 0
    throttled: int = 0  # how many 429s had been counted by then
    waiting: Mapping[str, int] = field(default_factory=dict)

    def tenants(self, *, now_ms: int, within_seconds: int) -> list[str]:
        """Who has been seen to wait within this time."""
        since = now_ms - within_seconds * 1000
        return [tenant for tenant, at_ms in self.waiting.items() if at_ms >= since]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tasks hold slots: in each shard, and of the tenants that were asked for."""

    shards: Sequence[int]
    tenants: Mapping[str, int]

    @property
    def total(self) -> int:
        """Of the whole deployment."""
        return sum(self.shards)

    def slots(self, limit: int, tenant_limit: int | None) -> Slots:
        """As the decisions of admission take them."""
        others = self.total - sum(self.tenants.values())
        running = {**self.tenants, NOBODY: max(others, 0)}
        return Slots(limit, running, tenant_limit)

    def after(self, tenant: str, shard: int) -> "Counts":
        """With one more task of that tenant in that shard."""
        shards = [n + (k == shard) for k, n in enumerate(self.shards)]
        return Counts(shards, {**self.tenants, tenant: self.tenants.get(tenant, 0) + 1})


def seat_for(counts: Counts, slots: Slots, *, due_at_ms: int) -> Seat:
    """The slot for a task that the slots admit: in the shard with the most room."""
    caps = [shard_cap(slots.limit, shard) for shard in range(SHARDS)]
    shard = max(range(SHARDS), key=lambda k: (caps[k] - counts.shards[k], -k))
    cap = UNLIMITED if slots.tenant_limit is None else slots.tenant_limit
    if slots.free <= slots.reserve:  # only a tenant below the reserve may take one of these
        cap = min(cap, slots.reserve)
    return Seat(shard, caps[shard], cap, due_at_ms)


def shard_cap(limit: int, shard: int) -> int:
    """How many tasks of a shard may run, so that all shards together run no more than the limit."""
    return limit // SHARDS + (shard < limit % SHARDS)


def candidate_of(tip: History) -> Candidate:
    """The task as it stands in its tenant's line: one that goes on after an answer comes before those that are new."""
    ref = tip.task.ref
    return Candidate(ref.tenant, ref.task_id, tip.task.created_at_ms, tip.task.priority)


def waits_for(tenant: str, slots: Slots) -> WaitingFor:
    """Why a task of this tenant cannot start."""
    cap = slots.tenant_limit
    if cap is not None and slots.running.get(tenant, 0) >= cap:
        return WaitingFor.TENANT_LIMIT
    return WaitingFor.DEPLOYMENT_LIMIT


def look_again_at(tip: History, *, now_ms: int) -> int:
    """When a waiting task is due although nothing freed a slot: at its deadline, or to be sure that it is in line."""
    deadline = tip.task.limits.deadline_seconds + limits.WATCH_SECONDS
    late = tip.state.opened_at_ms + deadline * 1000
    return min(late, now_ms + limits.WAITING_LOOK_SECONDS * 1000)


def fewest_first(tenants: Sequence[str], slots: Slots, *, now_ms: int) -> list[str]:
    """Tenants that may start a task, those with the fewest running first; those alike take turns."""
    free = slots.free
    able = [tenant for tenant in tenants if slots.admits(tenant, free=free)]
    return sorted(by_turns(able, now_ms=now_ms), key=lambda tenant: slots.running.get(tenant, 0))


def by_turns(tenants: Sequence[str], *, now_ms: int) -> list[str]:
    """The tenants in another order each second, so that the first of them are not always the same."""
    turn = str(now_ms // 1000)
    return sorted(tenants, key=lambda tenant: zlib.crc32((tenant + turn).encode()))
