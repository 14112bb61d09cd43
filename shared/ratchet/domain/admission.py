"""Which waiting task may start, and how many tasks may run at once. Pure; shared by dispatcher and simulation.

The limit moves with the backlog. Nothing waiting: it falls to what runs and a few slots more, and to the minimum when
nothing runs. More than a few waiting: it doubles, and grows by a twentieth once it is near the value at which the
provider last answered 429. A 429 takes a fifth of what runs. Steps that park for a token bucket hold it where it is:
the provider is used up, so more tasks would only wait inside instead of outside.

A slot goes to the tenant that has the least running, then to the task of higher priority, then to the oldest. Priority
orders a tenant's own tasks and breaks ties between tenants; it cannot buy another tenant's share. A tenth of the slots
is kept for tenants that hold less than that tenth, because running tasks are never stopped: without it a tenant that
came first would hold every slot until its tasks end. A lone tenant therefore runs nine tenths of the limit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ratchet.contracts import limits


@dataclass(frozen=True, slots=True)
class LimitRules:
    """Within what the deployment's limit moves."""

    minimum: int = limits.MIN_RUNNING_TASKS
    maximum: int = limits.MAX_RUNNING_TASKS

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.maximum:
            raise ValueError(
                f"the limit of running tasks must move between 1 <= minimum <= maximum, "
                f"not between {self.minimum} and {self.maximum}"
            )


@dataclass(frozen=True, slots=True)
class Limit:
    """How many tasks may run; `throttled_at` is how many ran when the provider last answered 429."""

    value: int
    throttled_at: int | None = None


@dataclass(frozen=True, slots=True)
class Signals:
    """What was seen since the last adjustment: `depth` and `running` now, the others counted."""

    depth: int
    running: int
    calls: int = 0
    throttled: int = 0
    parked: int = 0


def adjusted(limit: Limit, seen: Signals, rules: LimitRules) -> Limit:
    """The limit after one look at the signals, once every `limits.ADMISSION_ADJUST_SECONDS`."""
    if seen.throttled > seen.calls * limits.ADMISSION_THROTTLED_SHARE:
        cut = int(seen.running * limits.ADMISSION_CUT)
        return Limit(_within(min(cut, limit.value), rules), throttled_at=max(seen.running, 1))
    if seen.depth == 0:
        spare = limits.ADMISSION_SHALLOW_DEPTH
        return Limit(_within(min(limit.value, seen.running + spare), rules), limit.throttled_at)
    is_used_up = seen.parked > seen.calls * limits.ADMISSION_PARKED_SHARE
    if seen.depth > limits.ADMISSION_SHALLOW_DEPTH and not is_used_up:
        return Limit(_within(_risen(limit), rules), limit.throttled_at)
    return Limit(_within(limit.value, rules), limit.throttled_at)


def _risen(limit: Limit) -> int:
    if limit.throttled_at is None:
        return limit.value * 2
    careful = int(limit.throttled_at * limits.ADMISSION_CUT)
    return max(min(limit.value * 2, careful), limit.value + max(limit.value // 20, 1))


def _within(value: int, rules: LimitRules) -> int:
    return min(max(value, rules.minimum), rules.maximum)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task that waits; a larger `priority` goes first."""

    tenant: str
    task_id: str
    since_ms: int
    priority: int = 0

    @property
    def rank(self) -> tuple[int, int, str]:
        """Its place among its own tenant's tasks: the smallest goes first."""
        return (-self.priority, self.since_ms, self.task_id)


@dataclass(frozen=True, slots=True)
class Slots:
    """What may run and what does. `tenant_limit` holds for every tenant without one of its own in `tenant_limits`."""

    limit: int
    running: Mapping[str, int]
    tenant_limit: int | None = None
    tenant_limits: Mapping[str, int] = field(default_factory=dict)
    is_fair: bool = True

    @property
    def free(self) -> int:
        """How many more tasks the deployment may run."""
        return self.limit - sum(self.running.values())

    @property
    def reserve(self) -> int:
        """The slots that are kept for tenants that hold fewer than these."""
        return self.limit * limits.ADMISSION_RESERVE_PERCENT // 100 if self.is_fair else 0

    def admits(self, tenant: str, *, free: int) -> bool:
        """Whether a task of this tenant may start while so many slots are free."""
        own = self.running.get(tenant, 0)
        cap = self.tenant_limits.get(tenant, self.tenant_limit)
        if free < 1 or (cap is not None and own >= cap):
            return False
        return own < self.reserve or free > self.reserve


def choose(heads: Iterable[Candidate], slots: Slots) -> Candidate | None:
    """The task that starts next, of the first waiting task of each tenant; None while none may.

    Without fairness it is the oldest of them: the comparison that the simulation makes.
    """
    free = slots.free
    if free < 1:
        return None
    allowed = [head for head in heads if slots.admits(head.tenant, free=free)]
    if not slots.is_fair:
        return min(allowed, key=lambda c: (c.since_ms, c.task_id), default=None)
    return min(allowed, key=lambda c: (slots.running.get(c.tenant, 0), *c.rank), default=None)
