"""What a task takes of each quota, and how near a workload comes to them.

AWS quotas are the documented defaults of us-east-1 and can be raised unless `source` says otherwise; those of Step
Functions were last read in 2023, and new accounts begin lower. What is ours are settings of `cdk/cdk.json`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ratchet.capacity.errors import CapacityError
from ratchet.domain.aws_bill import Counts, Resource
from ratchet.domain.keys import DUE_SHARDS
from ratchet.domain.task_bill import OTHER_RUN_MS

TRANSITION_BURST = 5_000
START_BURST = 1_300
INDEX_WRITES_TENANT = 3
INDEX_WRITES_DUE = 7
"""Index writes of a task: to its tenant's partition of `by_tenant`, and to its shard of `due`."""
DISPATCHERS, DELIVERERS = 5, 5
_SFN = "https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"
_LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"
_DYNAMODB = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html"
_PARTITION = (
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html"
)
_SQS = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-quotas.html"
_OURS = "cdk/cdk.json: "


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit; `source` is the page that states it, or the setting that it is."""

    key: str
    name: str
    limit: float
    unit: str
    source: str


QUOTAS: tuple[Quota, ...] = (
    Quota("lambda_concurrency", "Lambda, concurrent sandboxes", 1_000, "sandboxes", _LAMBDA),
    Quota("sfn_transitions", "Step Functions, state transitions", 1_500, "a second", _SFN),
    Quota("sfn_starts", "Step Functions, StartExecution", 300, "a second", _SFN),
    Quota("sfn_open_executions", "Step Functions, open executions", 1_000_000, "open", _SFN),
    Quota("dynamodb_table_writes", "DynamoDB, table and indexes", 40_000, "WU/s", _DYNAMODB),
    Quota(
        "dynamodb_tenant_partition",
        "DynamoDB, one tenant's index partition",
        1_000,
        "WU/s",
        f"{_PARTITION} (cannot be raised)",
    ),
    Quota(
        "dynamodb_due_shard",
        "DynamoDB, one shard of the due index",
        1_000,
        "WU/s",
        f"{_PARTITION} (cannot be raised)",
    ),
    Quota("sqs_in_flight", "SQS, messages in flight", 120_000, "messages", _SQS),
    Quota("api_throttle", "API, requests", 50, "a second", f"{_OURS}throttle_rate"),
    Quota(
        "dispatcher",
        f"dispatcher, {DISPATCHERS} sandboxes",
        DISPATCHERS * 1000 / OTHER_RUN_MS,
        "tasks/s",
        f"{_OURS}dispatcher_concurrency",
    ),
    Quota(
        "deliverer",
        f"deliverer, {DELIVERERS} sandboxes",
        DELIVERERS * 1000 / OTHER_RUN_MS,
        "tasks/s",
        f"{_OURS}deliverer_concurrency",
    ),
)


def overridden(given: Mapping[str, float]) -> tuple[Quota, ...]:
    """The quotas, some with limits of one's own.

    Raises:
        CapacityError: there is no such quota, or a limit is not above 0.
    """
    keys = {quota.key for quota in QUOTAS}
    unknown = sorted(set(given) - keys)
    if unknown:
        raise CapacityError(f"no quota {', '.join(unknown)}; there are: {', '.join(sorted(keys))}")
    if any(limit <= 0 for limit in given.values()):
        raise CapacityError("--quota needs limits above 0")
    return tuple(
        replace(q, limit=given[q.key], source="--quota") if q.key in given else q for q in QUOTAS
    )


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a quota is used on average and at the peak."""

    quota: Quota
    mean: float
    peak: float

    @property
    def share(self) -> float:
        """Of the quota, at the peak; above 1 work waits or is refused."""
        return self.peak / self.quota.limit


@dataclass(frozen=True, slots=True)
class Flow:
    """What flows through a deployment: tasks a second, what AWS counts for one, and how long one is open."""

    tasks_per_second: float
    counts: Counts
    task_seconds: float
    step_sandbox_seconds: float
    other_sandbox_seconds: float
    largest_tenant_share: float = 1.0


def uses(flow: Flow, quotas: Iterable[Quota], *, peak_factor: float) -> list[Use]:
    """Every quota's use, the fullest first. What is concurrent follows from Little's law: rate times duration."""
    count = flow.counts.total
    per_task = {
        "lambda_concurrency": flow.step_sandbox_seconds + flow.other_sandbox_seconds,
        "sfn_transitions": count(Resource.TRANSITIONS),
        "sfn_starts": 1.0,
        "sfn_open_executions": flow.task_seconds,
        "dynamodb_table_writes": count(Resource.WRITE_UNITS),
        "dynamodb_tenant_partition": INDEX_WRITES_TENANT * flow.largest_tenant_share,
        "dynamodb_due_shard": INDEX_WRITES_DUE / DUE_SHARDS,
        "sqs_in_flight": 2 * OTHER_RUN_MS / 1000,
        "api_throttle": count(Resource.API_REQUESTS),
        "dispatcher": 1.0,
        "deliverer": 1.0,
    }
    found = []
    for quota in quotas:
        mean = flow.tasks_per_second * per_task[quota.key]
        found.append(Use(quota, mean, mean * peak_factor))
    return sorted(found, key=lambda use: -use.share)
