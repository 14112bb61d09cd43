"""Section `aws-bill`: what AWS charges for the standard task of 25 cycles, line by line."""

from dataclasses import dataclass

from cdk.components.asl import definition
from ratchet.contracts.names import Complexity, StepType
from tests.bench.agent_loop import ROUTING
from tests.bench.figures import Ratio, Section
from tests.bench.peers import STORAGE
from tests.bench.step_cpu import measured
from tests.bench.task_costs import ours, states, whole
from tests.bench.transitions import transitions

NAME = "aws-bill"
CYCLES, AT_25 = 25, 1
STEP_SECONDS, STEP_GB = 3.0, 0.5
OTHER_SECONDS = 0.1
OTHER_GB = {"api": 0.5, "authorizer": 0.25, "dispatcher": 0.25, "deliverer": 0.25}
SQS_REQUESTS = 2 * 3
PLATFORM_LOG_BYTES = 350
METRICS_PER_PAIR = 6

# us-east-1 list prices in dollars, as PERF.md has them; the last four are list prices that it does not name.
TRANSITION = 25e-6
GB_SECOND = 0.0000133334
WRITE_UNIT, READ_UNIT = 0.625e-6, 0.125e-6
SQS_REQUEST = 0.40e-6
HTTP_REQUEST = 1.00e-6
LAMBDA_REQUEST = 0.20e-6
SNS_PUBLISH = 0.50e-6
LOG_BYTE = 0.50e-9
METRIC_MONTH = 0.30


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill."""

    what: str
    quantity: float
    unit: str
    price: float

    @property
    def dollars(self) -> float:
        """What it comes to."""
        return self.quantity * self.price

    def row(self) -> tuple[str, ...]:
        """For the table."""
        return self.what, f"{self.quantity:,.4g} {self.unit}", f"${self.dollars:.7f}"


def run() -> Section:
    """Write the bill, and the peers' on the same prices."""
    section = Section(NAME)
    tally = whole(ours(CYCLES, warm=False)[0])
    machine = _machine()
    storage = _storage(tally.all_write_units, tally.read_units)
    lines = [*machine, *storage]
    total = sum(line.dollars for line in lines)
    section.say(
        f"Steps of {STEP_SECONDS:.0f} s at {STEP_GB * 1024:.0f} MB on arm64, a fresh sandbox each, policy react. The "
        f"other functions are taken to run {OTHER_SECONDS} s.",
        "Transitions are counted on the deployed definition, units in section storage, log bytes in section step-cpu.",
        "Lambda requests, SNS and logs are list prices that PERF.md does not name.",
        "",
    )
    section.table(
        ("line", "quantity", "dollars"),
        [*(li.row() for li in lines), ("total", "", f"${total:.7f}")],
    )
    section.figures["lines"] = {line.what: line.dollars for line in lines}
    section.figures["total"] = total
    _say_what_recurs(section, total)
    others = sum(line.dollars for line in machine)
    _compare(section, total, sum(line.dollars for line in storage), others)
    return section


def _machine() -> list[Line]:
    told = states(CYCLES)
    steps = len(told) - 1
    entered = transitions(definition(ROUTING, step_timeout_seconds=300), told)
    invocations = steps + len(OTHER_GB)
    logged = measured()["log_bytes"] + PLATFORM_LOG_BYTES * invocations
    return [
        Line("Step Functions", entered, "transitions", TRANSITION),
        Line("Lambda step_executor", steps * STEP_SECONDS * STEP_GB, "GB-s", GB_SECOND),
        Line("Lambda, the other four", sum(OTHER_GB.values()) * OTHER_SECONDS, "GB-s", GB_SECOND),
        Line("Lambda requests", invocations, "requests", LAMBDA_REQUEST),
        Line("SQS", SQS_REQUESTS, "requests", SQS_REQUEST),
        Line("HTTP API", 1, "requests", HTTP_REQUEST),
        Line("SNS", 1, "messages", SNS_PUBLISH),
        Line("CloudWatch Logs", logged, "bytes", LOG_BYTE),
    ]


def _storage(write_units: int, read_units: int) -> list[Line]:
    return [
        Line("DynamoDB writes", write_units, "units", WRITE_UNIT),
        Line("DynamoDB reads", read_units, "units", READ_UNIT),
    ]


def _say_what_recurs(section: Section, total: float) -> None:
    pairs = {
        (step, ROUTING.models_for(step, level)[0]) for step in StepType for level in Complexity
    }
    metrics = METRICS_PER_PAIR * len(pairs)
    monthly = metrics * METRIC_MONTH
    section.say(
        "",
        f"Not in it: what is billed by the month. The largest is EMF metrics: {METRICS_PER_PAIR} for each of "
        f"{len(pairs)} (model, step type) pairs",
        f"of routing.yaml, {metrics} x ${METRIC_MONTH:.2f} = ${monthly:.2f} when each occurs every hour: as much as "
        f"{monthly / total:,.0f} such tasks.",
    )
    section.figures["metrics_a_month"] = monthly


def _compare(section: Section, total: float, storage: float, others: float) -> None:
    section.say(
        "",
        "A peer's bill is ours with its published DynamoDB units in place of ours: the same transitions and seconds, "
        "which favours it",
        "(one state per cycle; with a state for each model and each tool call the first line doubles).",
    )
    for name in (
        "LangGraph + DynamoDBSaver",
        "LangGraph, compression on",
        "LangGraph, delta channels",
    ):
        row = STORAGE[name]
        writes, reads = row.write_units[AT_25], row.read_units[AT_25]
        assert writes is not None
        assert reads is not None
        theirs = sum(line.dollars for line in _storage(writes, reads))
        peer = f"PERF.md: {name}"
        section.ratios.append(
            Ratio("AWS bill, 25 cycles", total, peer, others + theirs, "$", bar=1.0)
        )
        section.ratios.append(
            Ratio("DynamoDB's part of the bill", storage, peer, theirs, "$", bar=1.0)
        )
