"""The one Logger and the one Metrics. Log events, not sentences: constant message, ids as keys, never content."""

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from ratchet.contracts.names import METRICS_NAMESPACE
from ratchet.domain.steps import StepRecord
from ratchet.domain.task import Task

logger = Logger()
metrics = Metrics(namespace=METRICS_NAMESPACE)


def sweep_metrics(lag_ms: int, waiting: int) -> None:
    """One run of the sweeper: how long the longest overdue task had waited; its absence is an alarm too.

    `waiting`: the backlog that it saw, tasks without a slot and doorbells that nobody has heard.
    """
    metrics.add_metric("SweeperLag", MetricUnit.Milliseconds, lag_ms)
    metrics.add_metric("Backlog", MetricUnit.Count, waiting)
    metrics.flush_metrics()


def override_refused() -> None:
    """The routing override cannot be used. Nothing is written while it can, so this costs nothing then."""
    metrics.add_metric("RoutingOverrideRefused", MetricUnit.Count, 1)
    metrics.flush_metrics()


def delivery_given_up() -> None:
    """An announcement is dead. Nothing is written while all arrive, so this costs nothing then."""
    metrics.add_metric("DeliveriesDead", MetricUnit.Count, 1)
    metrics.flush_metrics()


class EmfMetrics:
    """Writes step metrics in the embedded metric format: no request, no wait."""

    def step_finished(self, record: StepRecord, *, task: Task) -> None:
        """One committed step: count, dollars and tokens by model, duration by step type."""
        result = record.result
        with_model = result.model or "none"
        milliseconds = record.finished_at_ms - record.started_at_ms
        metrics.add_dimension(name="model", value=with_model)
        metrics.add_dimension(name="step_type", value=result.type.value)
        metrics.add_metric("Steps", MetricUnit.Count, 1)
        metrics.add_metric("CostMicroUsd", MetricUnit.Count, result.charged_microusd)
        metrics.add_metric("InputTokens", MetricUnit.Count, result.usage.input_tokens)
        metrics.add_metric("CachedTokens", MetricUnit.Count, result.usage.cached_tokens)
        metrics.add_metric("OutputTokens", MetricUnit.Count, result.usage.output_tokens)
        metrics.add_metric("StepDuration", MetricUnit.Milliseconds, milliseconds)
        metrics.flush_metrics()
        if result.expected_cached_tokens:
            # One metric for all models and step types: what breaks a prefix breaks it for all of them.
            share = min(result.usage.cached_tokens / result.expected_cached_tokens, 1) * 100
            metrics.add_metric("CachedShare", MetricUnit.Percent, share)
            metrics.flush_metrics()
        logger.info(
            "step finished",
            extra={
                "task_id": task.ref.task_id,
                "tenant": task.ref.tenant,
                "step": record.number,
                "step_type": result.type.value,
                "model": with_model,
                "cost_microusd": result.cost_microusd,
                "lost_microusd": result.lost_microusd,
                "ms": milliseconds,
            },
        )
