"""What is simulated: bursts of tenants against limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from ratchet.capacity.errors import CapacityError
from ratchet.capacity.quotas import DISPATCHERS, QUOTAS, START_BURST, TRANSITION_BURST
from ratchet.domain.admission import LimitRules

_DEFAULT = {quota.key: quota.limit for quota in QUOTAS}


@dataclass(frozen=True, slots=True)
class Load:
    """`tasks` of one tenant, spread evenly over `over` seconds from second `start` on."""

    tenant: str
    tasks: int
    start: float = 0.0
    over: float = 0.0

    def __post_init__(self) -> None:
        if (
            not self.tenant
            or self.tasks < 1
            or not (0 <= self.start < inf and 0 <= self.over < inf)
        ):
            raise CapacityError(
                f"tenant {self.tenant!r} needs a name, one task or more, and times of 0 or more"
            )


@dataclass(frozen=True, slots=True)
class Provider:
    """One model's limits, and how executors keep to them.

    `bucket_share`: the part of the limits that our own token buckets hand out; 0 means that there are none and only
    429s slow the calls. `other_use`: the part that somebody else uses up unseen.
    """

    rpm: float = 10_000
    tpm: float = 30_000_000
    bucket_share: float = 0.98
    other_use: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.rpm < inf and 0 < self.tpm < inf):
            raise CapacityError("--rpm and --tpm must be above 0")
        if not 0 <= self.bucket_share <= 1 or not 0 <= self.other_use < 1:
            raise CapacityError("--bucket-share lies between 0 and 1, --other-use below 1")


@dataclass(frozen=True, slots=True)
class Aws:
    """Quotas and settings of the account."""

    lambda_concurrency: int = int(_DEFAULT["lambda_concurrency"])
    transitions_per_second: float = _DEFAULT["sfn_transitions"]
    transition_burst: float = TRANSITION_BURST
    starts_per_second: float = _DEFAULT["sfn_starts"]
    start_burst: float = START_BURST
    dispatchers: int = DISPATCHERS

    def __post_init__(self) -> None:
        if min(self.lambda_concurrency, self.dispatchers) < 1:
            raise CapacityError("--lambda-concurrency and --dispatchers must be 1 or more")
        if not (0 < self.transitions_per_second < inf and 0 < self.starts_per_second < inf):
            raise CapacityError("--transitions and --starts must be above 0 a second")


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that a run depends on; the same scenario gives the same run."""

    loads: tuple[Load, ...]
    steps: int = 25
    step_seconds: float = 3.0
    step_tokens: int = 7_400
    provider: Provider = field(default_factory=Provider)
    aws: Aws = field(default_factory=Aws)
    rules: LimitRules = field(default_factory=LimitRules)
    tenant_limit: int | None = None
    tenant_limits: Mapping[str, int] = field(default_factory=dict)
    is_fair: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        names = [load.tenant for load in self.loads]
        if not names or len(set(names)) < len(names):
            raise CapacityError("--tenant is needed, once for each tenant")
        if self.steps < 1 or not 0 < self.step_seconds < inf or self.step_tokens < 0:
            raise CapacityError("--steps, --step-seconds and --step-tokens must be above 0")
        caps = [*self.tenant_limits.values(), *([self.tenant_limit] if self.tenant_limit else [])]
        if self.tenant_limit == 0 or any(cap < 1 for cap in caps):
            raise CapacityError("a tenant's limit must be 1 or more")
        unknown = sorted(set(self.tenant_limits) - set(names))
        if unknown:
            raise CapacityError(f"limits for tenants that have no tasks: {', '.join(unknown)}")

    @property
    def tasks(self) -> int:
        """Of all tenants."""
        return sum(load.tasks for load in self.loads)
