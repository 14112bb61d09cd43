"""What one task makes AWS count, as a function of its steps. Figures are our own measurements, held by tests.

`tests/contract/aws_bill` compares units and transitions with real requests and with the deployed definition;
`make bench ARGS=aws-bill` measures log bytes. Left out: what a month costs before any
task runs, data transfer, free tiers.
"""

from dataclasses import dataclass, field

from ratchet.domain.aws_bill import Bill, Counts, Resource

STEP_BYTES = 970
"""Mean size of a step item of PERF.md's standard agent."""
HEAD_BYTES = 444
TRANSITIONS_PER_STEP = 2
TRANSITIONS_PER_WAIT = 5  # Route, Wait, Go on, and Route and the step's state once more
TRANSITIONS_AT_END = 2  # Route, Announce; of a roll-over: Route, Roll over
SQS_REQUESTS_PER_MESSAGE = 3  # send, receive, delete; batches make it less
# Table and index units together: submission (3), one start (4), the last step's transaction (6 beyond the step's own
# unit), noting that the end was announced (4).
WRITE_UNITS_SUBMIT, WRITE_UNITS_START, WRITE_UNITS_END, WRITE_UNITS_ANNOUNCE = 3, 4, 6, 4
# The usage ledger, one transaction: the marker and the user's counter, and a counter of each model.
WRITE_UNITS_COUNT, WRITE_UNITS_COUNT_MODEL = 4, 2
READ_UNITS_START, READ_UNITS_ANNOUNCE = 1, 3
WRITE_UNITS_UNSAFE_CALL = (
    7  # a transaction of intent, plan and the look at the step; then the result
)
# A slot is a transaction of the head and two counters, once taken and once given back; who takes it is also due sooner.
WRITE_UNITS_SEAT, WRITE_UNITS_UNSEAT = 8, 6
READ_UNITS_SEAT, READ_UNITS_UNSEAT = 12, 9
LOG_BYTES_PER_STEP = 870
PLATFORM_LOG_BYTES = 350
"""What Lambda writes about one invocation (START, END, REPORT)."""
OTHER_RUN_MS = 100
"""Taken for every function but step_executor: none waits for a model."""
WAIT_RUN_MS = 100
"""An attempt that ends in a wait for a rate limit has called no model."""


@dataclass(frozen=True, slots=True)
class Functions:
    """How the functions are deployed; the defaults are the deployment's."""

    step_executor_mb: int = 512
    api_mb: int = 512
    authorizer_mb: int = 256
    dispatcher_mb: int = 256
    deliverer_mb: int = 256
    sweeper_mb: int = 256
    architecture: str = "arm64"

    @property
    def time(self) -> Resource:
        """What their time is billed as."""
        return Resource.X86_TIME if self.architecture == "x86_64" else Resource.ARM_TIME

    def kept_warm(self, sandboxes: int, *, total_ms: int) -> Counts:
        """Sandboxes of step_executor that wait for work, for so long; their runs are billed besides."""
        warm = Resource.X86_WARM if self.architecture == "x86_64" else Resource.ARM_WARM
        return Counts({(warm, "step_executor"): sandboxes * total_ms * self.step_executor_mb})

    def ran(self, name: str, *, times: int, total_ms: int) -> Counts:
        """Invocations of one of them."""
        megabytes: int = getattr(self, f"{name}_mb")
        return Counts(
            {(Resource.INVOCATIONS, name): times, (self.time, name): total_ms * megabytes}
        )

    def ran_briefly(self, name: str, *, times: int) -> Counts:
        """Invocations that wait for no model."""
        return self.ran(name, times=times, total_ms=times * OTHER_RUN_MS)


@dataclass(frozen=True, slots=True)
class TaskRun:
    """What of a task's records the AWS side follows from.

    `step_ms`: how long each committed step ran, in order. `lost_ms`: attempts that did not commit (retries, crashes).
    `waits`: visits of the Wait state. `step_bytes`: mean size of a step item. `warm_share`: how much of the reading a
    sandbox that ran the previous step saves; 0 is the most that a task can cost. `models`: how many were called.
    `seats`: slots that were taken where running tasks are limited; those of a task that is over have been given back.
    `cache_reads`, `cache_writes`: answers that were looked for, and kept, in the response cache.
    """

    step_ms: tuple[int, ...]
    lost_ms: tuple[int, ...] = ()
    waits: int = 0
    executions: int = 1
    unsafe_calls: int = 0
    step_bytes: int = STEP_BYTES
    warm_share: float = 0.0
    polls: int = 0
    s3_puts: int = 0
    s3_gets: int = 0
    models: int = 1
    seats: int = 0
    cache_reads: int = 0
    cache_writes: int = 0
    is_announced: bool = True
    functions: Functions = field(default_factory=Functions)


def task_counts(run: TaskRun) -> Counts:
    """Everything that AWS counts for a task, from its submission to its announcement and its month of storage."""
    return _machine(run) + _storage(run) + _doors(run)


def task_bill(run: TaskRun) -> Bill:
    """What AWS charges for a task."""
    return task_counts(run).bill()


def _machine(run: TaskRun) -> Counts:
    steps = len(run.step_ms)
    runs = steps + len(run.lost_ms) + run.waits
    total_ms = sum(run.step_ms) + sum(run.lost_ms) + WAIT_RUN_MS * run.waits
    transitions = (
        TRANSITIONS_PER_STEP * steps
        + TRANSITIONS_PER_WAIT * run.waits
        + TRANSITIONS_AT_END * run.executions
        + len(run.lost_ms)  # a retry is a transition
    )
    logged = LOG_BYTES_PER_STEP * steps + PLATFORM_LOG_BYTES * runs
    executor = run.functions.ran("step_executor", times=runs, total_ms=total_ms)
    return executor + Counts.of({Resource.TRANSITIONS: transitions, Resource.LOG_BYTES: logged})


def _storage(run: TaskRun) -> Counts:
    steps, announced = len(run.step_ms), int(run.is_announced)
    given_back = run.seats if announced else max(run.seats - 1, 0)
    writes = (
        WRITE_UNITS_SUBMIT
        + WRITE_UNITS_START * run.executions
        + steps * _units(run.step_bytes, 1024)
        + WRITE_UNITS_UNSAFE_CALL * run.unsafe_calls
        + (WRITE_UNITS_END + WRITE_UNITS_ANNOUNCE + WRITE_UNITS_COUNT) * announced
        + WRITE_UNITS_COUNT_MODEL * run.models * announced
        + WRITE_UNITS_SEAT * run.seats
        + WRITE_UNITS_UNSEAT * given_back
        + run.cache_writes
    )
    reads = (
        READ_UNITS_START * run.executions
        + _history_reads(run)
        # The ledger reads all steps once more, to know their models and days.
        + (READ_UNITS_ANNOUNCE + _units(HEAD_BYTES + steps * run.step_bytes, 4096)) * announced
        + READ_UNITS_SEAT * run.seats
        + READ_UNITS_UNSEAT * given_back
        + run.cache_reads
        + run.polls
    )
    return Counts.of(
        {
            Resource.WRITE_UNITS: writes,
            Resource.READ_UNITS: reads,
            Resource.TABLE_STORAGE: HEAD_BYTES + steps * run.step_bytes,
            Resource.S3_PUTS: run.s3_puts,
            Resource.S3_GETS: run.s3_gets,
        }
    )


def _history_reads(run: TaskRun) -> int:
    """A fresh sandbox reads the head and all earlier steps, a warm one nothing."""
    before = range(HEAD_BYTES, HEAD_BYTES + len(run.step_ms) * run.step_bytes, run.step_bytes or 1)
    read = sum(_units(size, 4096) for size in before) + len(run.lost_ms) + run.waits
    return max(round(read * (1 - run.warm_share)), 1 if run.step_ms else 0)


def _doors(run: TaskRun) -> Counts:
    """API, queues and the functions behind them."""
    announced, functions = int(run.is_announced), run.functions
    requests = 1 + run.polls
    messages = run.executions + announced
    others = requests + 1 + messages  # the authorizer's answer is cached by the API for a while
    counts = Counts.of(
        {
            Resource.API_REQUESTS: requests,
            Resource.SQS_REQUESTS: SQS_REQUESTS_PER_MESSAGE * messages,
            Resource.SNS_PUBLISHES: announced,
            Resource.LOG_BYTES: PLATFORM_LOG_BYTES * others,
        }
    )
    return (
        counts
        + functions.ran_briefly("api", times=requests)
        + functions.ran_briefly("authorizer", times=1)
        + functions.ran_briefly("dispatcher", times=run.executions)
        + functions.ran_briefly("deliverer", times=announced)
    )


def _units(size: int, unit: int) -> int:
    return max(-(-size // unit), 1)
