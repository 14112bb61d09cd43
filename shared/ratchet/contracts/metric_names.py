"""Every metric that the functions emit: its name, who emits it and its dimensions. Alarms and dashboard read this too.

Dimensions are bounded: a team's models, four step types, two channels. No tenant, task or user is one, since each value
of a dimension is a metric that is paid for every month.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class MetricName(StrEnum):
    """As CloudWatch shows them."""

    STEPS = "Steps"
    STEP_DURATION = "StepDuration"
    COST = "CostMicroUsd"
    INPUT_TOKENS = "InputTokens"
    CACHED_TOKENS = "CachedTokens"
    OUTPUT_TOKENS = "OutputTokens"
    CACHED_SHARE = "CachedShare"
    INTERRUPTS_OPENED = "InterruptsOpened"
    INTERRUPTS_CLOSED = "InterruptsClosed"
    START_DELAY = "StartDelay"
    BACKLOG = "Backlog"
    SWEEPER_LAG = "SweeperLag"
    DELIVERIES_FAILED = "DeliveriesFailed"
    DELIVERIES_DEAD = "DeliveriesDead"
    TASKS_POISONED = "TasksPoisoned"
    SPANS_LOST = "SpansLost"
    ROUTING_OVERRIDE_REFUSED = "RoutingOverrideRefused"


class Dimension(StrEnum):
    """Besides `service`, which every metric has."""

    MODEL = "model"
    STEP_TYPE = "step_type"
    CHANNEL = "channel"


@dataclass(frozen=True, slots=True)
class Emitted:
    """The functions that emit a metric, and its dimensions."""

    services: tuple[str, ...]
    dimensions: tuple[Dimension, ...] = ()


_BY_TYPE = Emitted(("step_executor",), (Dimension.STEP_TYPE,))
_BY_MODEL = Emitted(("step_executor",), (Dimension.MODEL,))

METRICS: Mapping[MetricName, Emitted] = {
    MetricName.STEPS: _BY_TYPE,
    MetricName.STEP_DURATION: _BY_TYPE,
    MetricName.COST: _BY_MODEL,
    MetricName.INPUT_TOKENS: _BY_MODEL,
    MetricName.CACHED_TOKENS: _BY_MODEL,
    MetricName.OUTPUT_TOKENS: _BY_MODEL,
    MetricName.CACHED_SHARE: Emitted(("step_executor",)),
    MetricName.INTERRUPTS_OPENED: Emitted(("step_executor",)),
    MetricName.INTERRUPTS_CLOSED: Emitted(("api", "sweeper")),
    MetricName.START_DELAY: Emitted(("dispatcher",)),
    MetricName.BACKLOG: Emitted(("sweeper",)),
    MetricName.SWEEPER_LAG: Emitted(("sweeper",)),
    MetricName.DELIVERIES_FAILED: Emitted(("deliverer",), (Dimension.CHANNEL,)),
    MetricName.DELIVERIES_DEAD: Emitted(("deliverer",)),
    MetricName.TASKS_POISONED: Emitted(("sweeper",)),
    MetricName.SPANS_LOST: Emitted(("step_executor", "deliverer")),
    MetricName.ROUTING_OVERRIDE_REFUSED: Emitted(("api",)),
}


def series_by(dimension: Dimension) -> int:
    """How many metrics there are of each value of a dimension: CloudWatch bills each by the month."""
    return sum(emitted.dimensions == (dimension,) for emitted in METRICS.values())
