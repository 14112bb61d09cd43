"""What a workload costs and what it needs: dollars by model and AWS service, sandboxes, use of quotas.

The JSON of `ratchet estimate --json` (`Estimate.to_json`); dollars are US dollars, shares are of 1:

    assumptions         every input, with its default where none was given
    usd_per_month       total, models {total, by_model}, aws {total, by_service, idle}: idle is what the stack costs
                        without a task, and part of total and by_service
    usd_per_task        total, models, aws (without idle)
    all_on              the same work on one model: model, usd_per_month, usd_per_task, saving_share (models only)
    tokens_per_task     by model: calls, input, cached, output
    lambda_concurrency  mean, peak (Little's law; the peak is peak_factor times the mean)
    quotas              fullest first: key, name, unit, limit, mean, peak, share (at the peak), source
    bottleneck          the first of them: key, share, tasks_per_day_at_limit
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from ratchet.capacity.errors import CapacityError
from ratchet.capacity.quotas import QUOTAS, Flow, Quota, Use, uses
from ratchet.capacity.workload import DAYS_PER_MONTH, ModelUse, Workload, model_use
from ratchet.contracts.limits import STEPS_PER_EXECUTION
from ratchet.contracts.metric_names import Dimension, series_by
from ratchet.contracts.names import Complexity, Json
from ratchet.contracts.routing import RoutingTable
from ratchet.domain.aws_bill import NANO, Bill, Counts, Resource, Service
from ratchet.domain.keys import DUE_SHARDS
from ratchet.domain.models import ModelCatalogue, built_in
from ratchet.domain.task_bill import (
    OTHER_RUN_MS,
    PLATFORM_LOG_BYTES,
    Functions,
    TaskRun,
    task_counts,
)

COMPARED = "gpt-4o"
SECRETS, ALARMS, QUEUES, WARM_ALARMS = 2, 10, 4, 2
"""Of the stack as it is deployed by default; `Extras` has what settings add."""
METRICS_OF_ALL = 4
"""Start delay, backlog, the sweeper's lag, and the share of tokens that caches should hold."""
SWEEPS_PER_MONTH = int(DAYS_PER_MONTH * 24 * 60)
POLLS_PER_MONTH = QUEUES * 5 * 3 * SWEEPS_PER_MONTH
"""Lambda polls each queue with five pollers, 20 s a poll:
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"""


@dataclass(frozen=True, slots=True)
class ProviderLimit:
    """A provider's requests and tokens a minute for one model."""

    model: str
    rpm: float
    tpm: float


@dataclass(frozen=True, slots=True)
class Extras:
    """What settings add to an idle stack.

    `secrets`: one each for auth=api_key, web_acl_arn, an otlp_endpoint that is not X-Ray's, and each deployment of
    providers.yaml that names none. `customer_keys`: kms=true. `warm`: step_executor_provisioned_min, with its alarms.
    """

    secrets: int = 0
    customer_keys: int = 0
    warm: int = 0

    def __post_init__(self) -> None:
        if min(self.secrets, self.customer_keys, self.warm) < 0:
            raise CapacityError("--extra-secrets and --warm must be 0 or more")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the work runs in."""

    functions: Functions = field(default_factory=Functions)
    extras: Extras = field(default_factory=Extras)
    models: ModelCatalogue = field(default_factory=built_in)
    quotas: tuple[Quota, ...] = QUOTAS
    providers: tuple[ProviderLimit, ...] = ()
    largest_tenant_share: float = 1.0
    polls_per_task: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """The answer; see the module for its JSON."""

    work: Workload
    around: Surroundings
    models: Mapping[str, ModelUse]
    compared_microusd: float
    task_bill: Bill
    month_bill: Bill
    idle_bill: Bill
    uses: tuple[Use, ...]

    @property
    def models_usd_per_task(self) -> float:
        """What the model calls of a mean task cost."""
        return sum(use.microusd for use in self.models.values()) / 1e6

    @property
    def models_usd_per_month(self) -> float:
        """What all model calls of a month cost."""
        return self.models_usd_per_task * self.work.tasks_per_month

    @property
    def usd_per_month(self) -> float:
        """Models and AWS."""
        return self.models_usd_per_month + self.month_bill.usd

    @property
    def compared_usd_per_month(self) -> float:
        """What the models cost when all calls go to `COMPARED`."""
        return self.compared_microusd / 1e6 * self.work.tasks_per_month

    @property
    def saving_share(self) -> float:
        """What routing saves of the compared model's dollars; below 0 it costs more."""
        return 1 - self.models_usd_per_task * 1e6 / (self.compared_microusd or 1.0)

    @property
    def concurrency(self) -> Use:
        """Sandboxes."""
        return next(use for use in self.uses if use.quota.key == "lambda_concurrency")

    @property
    def tasks_per_day_at_limit(self) -> float:
        """How many tasks a day fill the fullest quota at their peak."""
        return self.work.tasks_per_day / self.uses[0].share

    def usd_by_service(self) -> dict[Service, float]:
        """The month on AWS."""
        return {service: nano / NANO for service, nano in self.month_bill.by_service().items()}

    def to_json(self) -> dict[str, Json]:
        """As the module says."""
        month = self.work.tasks_per_month
        return {
            "assumptions": self.assumptions(),
            "usd_per_month": {
                "total": self.usd_per_month,
                "models": {
                    "total": self.models_usd_per_month,
                    "by_model": {n: use.microusd / 1e6 * month for n, use in self.models.items()},
                },
                "aws": {
                    "total": self.month_bill.usd,
                    "by_service": {s.value: usd for s, usd in self.usd_by_service().items()},
                    "idle": self.idle_bill.usd,
                },
            },
            "usd_per_task": {
                "total": self.models_usd_per_task + self.task_bill.usd,
                "models": self.models_usd_per_task,
                "aws": self.task_bill.usd,
            },
            "all_on": {
                "model": COMPARED,
                "usd_per_month": self.compared_usd_per_month + self.month_bill.usd,
                "usd_per_task": self.compared_microusd / 1e6 + self.task_bill.usd,
                "saving_share": self.saving_share,
            },
            "tokens_per_task": {name: _tokens(use) for name, use in self.models.items()},
            "lambda_concurrency": {"mean": self.concurrency.mean, "peak": self.concurrency.peak},
            "quotas": [_quota(use) for use in self.uses],
            "bottleneck": {
                "key": self.uses[0].quota.key,
                "share": self.uses[0].share,
                "tasks_per_day_at_limit": self.tasks_per_day_at_limit,
            },
        }

    def assumptions(self) -> dict[str, Json]:
        """Every input; the default where none was given."""
        work, tokens, around = self.work, self.work.tokens, self.around
        types = work.step_types()
        return {
            "tasks_per_day": work.tasks_per_day,
            "steps_per_task": work.steps,
            "step_mix": {step.value: types.count(step) for step in dict.fromkeys(types)},
            "complex_share": work.complex_share,
            "first_input_tokens": tokens.first_input,
            "input_growth_tokens": tokens.growth,
            "output_tokens": tokens.output,
            "reasoning_tokens": tokens.reasoning,
            "cached_share": tokens.cached_share,
            "step_seconds": work.step_seconds,
            "peak_factor": work.peak_factor,
            "polls_per_task": around.polls_per_task,
            "largest_tenant_share": around.largest_tenant_share,
            "step_executor_memory_mb": around.functions.step_executor_mb,
            "architecture": around.functions.architecture,
            "extra_secrets": around.extras.secrets,
            "customer_keys": around.extras.customer_keys,
            "warm_sandboxes": around.extras.warm,
            "days_per_month": DAYS_PER_MONTH,
        }


def estimate(work: Workload, table: RoutingTable, around: Surroundings) -> Estimate:
    """Cost and capacity of a workload.

    Raises:
        UnpricedModel: the routing table names a model without a price.
    """
    models = model_use(work, table, around.models)
    compared = model_use(work, RoutingTable(default=(COMPARED,)), around.models)
    run = TaskRun(
        step_ms=(round(work.step_seconds * 1000),) * work.steps,
        executions=-(-work.steps // STEPS_PER_EXECUTION),
        polls=around.polls_per_task,
        models=len(models),
        functions=around.functions,
    )
    counts = task_counts(run)
    idle = _idle(around, metrics=_metrics(work, table))
    return Estimate(
        work=work,
        around=around,
        models=models,
        compared_microusd=sum(use.microusd for use in compared.values()),
        task_bill=counts.bill(),
        month_bill=(counts.times(work.tasks_per_month) + idle).bill(),
        idle_bill=_idle(around, metrics=0).bill(),
        uses=tuple(_uses(work, around, counts, models)),
    )


def _metrics(work: Workload, table: RoutingTable) -> int:
    """The metrics that are written: of each step type and of each model that occurs, and of all."""
    shares = {Complexity.SIMPLE: 1 - work.complex_share, Complexity.COMPLEX: work.complex_share}
    levels = [level for level, share in shares.items() if share]
    types = set(work.step_types())
    models = {table.models_for(step, level)[0] for step in types for level in levels}
    by_type, by_model = series_by(Dimension.STEP_TYPE), series_by(Dimension.MODEL)
    return by_type * len(types) + by_model * len(models) + METRICS_OF_ALL


def _idle(around: Surroundings, *, metrics: int) -> Counts:
    """A month before any task: the sweeper, what polls, what is kept; and so many metrics."""
    extras, month_ms = around.extras, SWEEPS_PER_MONTH * 60_000
    warm = around.functions.kept_warm(extras.warm, total_ms=month_ms)
    swept = around.functions.ran_briefly("sweeper", times=SWEEPS_PER_MONTH)
    return (
        swept
        + warm
        + Counts.of(
            {
                Resource.SECRET_MONTHS: SECRETS + extras.secrets,
                Resource.KEY_MONTHS: extras.customer_keys,
                Resource.ALARM_MONTHS: ALARMS + (WARM_ALARMS if extras.warm else 0),
                Resource.METRIC_MONTHS: metrics,
                # An index read is half a unit; who waits for a slot is read consistently.
                Resource.READ_UNITS: SWEEPS_PER_MONTH * (DUE_SHARDS // 2 + 1),
                Resource.SQS_REQUESTS: POLLS_PER_MONTH
                + SWEEPS_PER_MONTH,  # and how deep the inbox is
                Resource.LOG_BYTES: SWEEPS_PER_MONTH * PLATFORM_LOG_BYTES,
            }
        )
    )


def _uses(
    work: Workload, around: Surroundings, counts: Counts, models: Mapping[str, ModelUse]
) -> list[Use]:
    executor = work.steps * work.step_seconds
    others = counts.total(Resource.INVOCATIONS) - work.steps
    flow = Flow(
        tasks_per_second=work.tasks_per_second,
        counts=counts,
        task_seconds=executor,
        step_sandbox_seconds=executor,
        other_sandbox_seconds=others * OTHER_RUN_MS / 1000,
        largest_tenant_share=around.largest_tenant_share,
    )
    found = uses(flow, around.quotas, peak_factor=work.peak_factor)
    for limit in around.providers:
        use = models.get(limit.model, ModelUse())
        tokens = use.input_tokens + use.output_tokens
        for kind, bound, amount in (("rpm", limit.rpm, use.calls), ("tpm", limit.tpm, tokens)):
            mean = amount * work.tasks_per_second * 60
            what = "requests" if kind == "rpm" else "tokens"
            quota = Quota(
                f"{kind}:{limit.model}", f"{limit.model}, {what}", bound, "a minute", "--provider"
            )
            found.append(Use(quota, mean, mean * work.peak_factor))
    return sorted(found, key=lambda use: -use.share)


def _tokens(use: ModelUse) -> dict[str, Json]:
    names = ("calls", "input_tokens", "cached_tokens", "output_tokens")
    return {name.removesuffix("_tokens"): getattr(use, name) for name in names}


def _quota(use: Use) -> dict[str, Json]:
    return {**asdict(use.quota), "mean": use.mean, "peak": use.peak, "share": use.share}
