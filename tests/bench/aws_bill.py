"""Section `aws-bill`: what AWS charges for the standard task of 25 cycles, line by line."""

from cdk.components.asl import definition
from ratchet.contracts.metric_names import Dimension, series_by
from ratchet.contracts.names import Complexity, StepType
from ratchet.domain.aws_bill import NANO, PRICES, Bill, Counts, Line, Resource
from ratchet.domain.task_bill import LOG_BYTES_PER_STEP, TaskRun, task_counts
from tests.bench.agent_loop import ROUTING
from tests.bench.figures import Ratio, Section
from tests.bench.metering import Tally
from tests.bench.peers import STORAGE
from tests.bench.step_cpu import measured
from tests.bench.task_costs import ours, states, whole
from tests.bench.transitions import transitions

NAME = "aws-bill"
CYCLES, AT_25 = 25, 1
STEP_MS = 3_000
FORMULA = 1.02
"""How far the product's own formula may be from what was counted here."""


def run() -> Section:
    """Write the bill, and the peers' on the same prices."""
    section = Section(NAME)
    computed = task_counts(TaskRun((STEP_MS,) * (CYCLES + 1)))
    tally = whole(ours(CYCLES, warm=False)[0])
    bill = _counted(computed, tally).bill()
    section.say(
        f"Steps of {STEP_MS / 1000:.0f} s at 512 MB on arm64, a fresh sandbox each, policy react. The other functions "
        "are taken to run 0.1 s.",
        "Transitions are counted on the deployed definition, units in section storage, log bytes in section step-cpu;",
        "prices and the other counts are the product's: ratchet/domain/aws_bill.py and task_bill.py.",
        "",
    )
    section.table(
        ("line", "quantity", "dollars"),
        [*map(_row, bill.lines), ("total", "", _usd(bill.nanousd))],
    )
    section.figures["lines"] = {_name(line): line.nanousd / NANO for line in bill.lines}
    section.figures["total"] = bill.usd
    section.ratios.append(
        Ratio(
            "AWS bill by the formula", computed.bill().usd, "counted here", bill.usd, "$", FORMULA
        )
    )
    _say_what_recurs(section, bill)
    _compare(section, bill)
    return section


def _counted(computed: Counts, tally: Tally) -> Counts:
    """The formula's counts with those that this bench has counted in their place."""
    told = states(CYCLES)
    logged = computed.total(Resource.LOG_BYTES) - _step_log_bytes(computed)
    counted = {
        (Resource.TRANSITIONS, ""): transitions(
            definition(ROUTING, step_timeout_seconds=300), told
        ),
        (Resource.WRITE_UNITS, ""): tally.all_write_units,
        (Resource.READ_UNITS, ""): tally.read_units,
        (Resource.LOG_BYTES, ""): logged + measured()["log_bytes"],
    }
    return Counts({**computed.amounts, **counted})


def _step_log_bytes(computed: Counts) -> int:
    return LOG_BYTES_PER_STEP * computed.amounts[Resource.INVOCATIONS, "step_executor"]


def _name(line: Line) -> str:
    return f"{line.resource} {line.what}".strip()


def _usd(nano: int) -> str:
    return f"${nano / NANO:.7f}"


def _row(line: Line) -> tuple[str, ...]:
    return _name(line), f"{line.quantity:,}", _usd(line.nanousd)


def _say_what_recurs(section: Section, bill: Bill) -> None:
    models = {ROUTING.models_for(step, level)[0] for step in StepType for level in Complexity}
    by_type, by_model = series_by(Dimension.STEP_TYPE), series_by(Dimension.MODEL)
    metrics = by_type * len(StepType) + by_model * len(models)
    monthly = PRICES[Resource.METRIC_MONTHS].nanousd(metrics)
    section.say(
        "",
        f"Not in it: what is billed by the month. The largest is EMF metrics: {by_type} for each of "
        f"{len(StepType)} step types and {by_model} for each of {len(models)} models",
        f"of routing.yaml; {metrics} come to ${monthly / NANO:.2f} when each occurs every hour: as much as "
        f"{monthly / bill.nanousd:,.0f} such tasks.",
    )
    section.figures["metrics_a_month"] = monthly / NANO


def _compare(section: Section, bill: Bill) -> None:
    section.say(
        "",
        "A peer's bill is ours with its published DynamoDB units in place of ours: the same transitions, seconds and "
        "storage, which favours it",
        "(one state per cycle; with a state for each model and each tool call the first line doubles).",
    )
    storage = bill.of(Resource.WRITE_UNITS, Resource.READ_UNITS) / NANO
    for name in (
        "LangGraph + DynamoDBSaver",
        "LangGraph, compression on",
        "LangGraph, delta channels",
    ):
        row = STORAGE[name]
        writes, reads = row.write_units[AT_25], row.read_units[AT_25]
        assert writes is not None
        assert reads is not None
        units = Counts.of({Resource.WRITE_UNITS: writes, Resource.READ_UNITS: reads})
        theirs = units.bill().usd
        peer = f"PERF.md: {name}"
        section.ratios.append(
            Ratio("AWS bill, 25 cycles", bill.usd, peer, bill.usd - storage + theirs, "$", bar=1.0)
        )
        section.ratios.append(
            Ratio("DynamoDB's part of the bill", storage, peer, theirs, "$", bar=1.0)
        )
