"""What a simulation found.

The JSON of `ratchet simulate --json` (`Outcome.to_json`); times are seconds, shares are of 1:

    seed, fair, tasks   of the scenario
    makespan_seconds    from the first submission to the last end
    tenants             by name: tasks, start_delay_seconds {p50, p95, p99, max}: submission to the first step
    queue_depth         peak, mean, samples [[second, waiting, running, limit], ...]
    provider            calls (answered), throttled (429s), throttled_share, parked (steps that waited for a token
                        bucket), quota_used_share (of the fuller of RPM and TPM, while work waited)
    lambda              peak_sandboxes, throttled
    utilisation         by quota: mean share used while work waited
    bottleneck          the fullest of them
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from ratchet.capacity.scenario import Scenario
from ratchet.contracts.names import Json
from ratchet.domain.task_bill import OTHER_RUN_MS

MAX_SAMPLES = 600
DISPATCH_SECONDS = OTHER_RUN_MS / 1000
"""How long the dispatcher works on one task."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of a tenant's start delays."""

    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Percentiles":
        """Interpolated between the two nearest values."""
        if len(values) == 1:
            only = values[0]
            return cls(only, only, only, only)
        cuts = statistics.quantiles(values, n=100, method="inclusive")
        return cls(cuts[49], cuts[94], cuts[98], max(values))


@dataclass(frozen=True, slots=True)
class Sample:
    """The backlog at one second."""

    second: float
    waiting: int
    running: int
    limit: int


@dataclass(slots=True)
class Tally:
    """What is counted while a simulation runs."""

    calls: int = 0
    throttled: int = 0
    parked: int = 0
    transitions: float = 0.0
    starts: int = 0
    peak_sandboxes: int = 0
    lambda_throttled: int = 0


@dataclass(slots=True)
class Busy:
    """What was used in the seconds in which work waited."""

    seconds: float = 0.0
    calls: int = 0
    transitions: float = 0.0
    starts: int = 0
    sandboxes: float = 0.0
    running: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """See the module for its JSON."""

    scenario: Scenario
    makespan: float
    tally: Tally
    busy: Busy
    delays: Mapping[str, Sequence[float]]
    samples: Sequence[Sample] = field(repr=False)

    def start_delay(self, tenant: str) -> Percentiles:
        """From submission to the first step."""
        return Percentiles.of(self.delays[tenant])

    @property
    def throttled_share(self) -> float:
        """Of all model calls, how many were answered 429."""
        return self.tally.throttled / max(self.tally.calls + self.tally.throttled, 1)

    @property
    def quota_used_share(self) -> float:
        """Of the provider's fuller limit, while work waited."""
        used = self.utilisation()
        return max(used["provider_rpm"], used["provider_tpm"])

    def utilisation(self) -> dict[str, float]:
        """The mean share of each quota that was used while work waited; 0 if none ever did."""
        scenario, busy, seconds = self.scenario, self.busy, self.busy.seconds or 1.0
        calls = busy.calls / seconds * 60
        return {
            "provider_rpm": calls / scenario.provider.rpm,
            "provider_tpm": calls * scenario.step_tokens / scenario.provider.tpm,
            "lambda_concurrency": busy.sandboxes / seconds / scenario.aws.lambda_concurrency,
            "sfn_transitions": busy.transitions / seconds / scenario.aws.transitions_per_second,
            "sfn_starts": busy.starts / seconds / scenario.aws.starts_per_second,
            "dispatcher": busy.starts / seconds * DISPATCH_SECONDS / scenario.aws.dispatchers,
            "running_limit": busy.running / seconds / scenario.rules.maximum,
        }

    @property
    def bottleneck(self) -> str:
        """The quota that was fullest while work waited."""
        used = self.utilisation()
        return max(used, key=lambda key: used[key])

    @property
    def thinned(self) -> Sequence[Sample]:
        """Every n-th sample, at most `MAX_SAMPLES`."""
        return self.samples[:: -(-len(self.samples) // MAX_SAMPLES) or 1]

    def to_json(self) -> dict[str, Json]:
        """As the module says."""
        depths = [sample.waiting for sample in self.samples]
        return {
            "seed": self.scenario.seed,
            "fair": self.scenario.is_fair,
            "tasks": self.scenario.tasks,
            "makespan_seconds": self.makespan,
            "tenants": {
                tenant: {
                    "tasks": len(delays),
                    "start_delay_seconds": asdict(self.start_delay(tenant)),
                }
                for tenant, delays in self.delays.items()
            },
            "queue_depth": {
                "peak": max(depths),
                "mean": statistics.fmean(depths),
                "samples": [[s.second, s.waiting, s.running, s.limit] for s in self.thinned],
            },
            "provider": {
                "calls": self.tally.calls,
                "throttled": self.tally.throttled,
                "throttled_share": self.throttled_share,
                "parked": self.tally.parked,
                "quota_used_share": self.quota_used_share,
            },
            "lambda": {
                "peak_sandboxes": self.tally.peak_sandboxes,
                "throttled": self.tally.lambda_throttled,
            },
            "utilisation": dict(self.utilisation()),
            "bottleneck": self.bottleneck,
        }
