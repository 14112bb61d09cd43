"""The one Logger and the one Metrics. Log events, not sentences: constant message, ids as keys, never content."""

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from ratchet.contracts.messages import TaskRef
from ratchet.contracts.metric_names import Dimension, MetricName
from ratchet.contracts.names import METRICS_NAMESPACE
from ratchet.domain.steps import Paused, StepRecord, StepResult
from ratchet.domain.task import Task
from ratchet.log_format import AllowListFormatter

logger = Logger(logger_formatter=AllowListFormatter())
metrics = Metrics(namespace=METRICS_NAMESPACE)


def log_about(task: TaskRef, step: int | None = None) -> None:
    """From here on every record of this invocation says which task, and which step of it."""
    logger.append_keys(tenant=task.tenant, task_id=task.task_id)
    if step is not None:
        logger.append_keys(step=step)


def log_about_nothing() -> None:
    """The next records are about another task, or about none."""
    logger.remove_keys(["tenant", "task_id", "step"])


def sweep_metrics(lag_ms: int, waiting: int) -> None:
    """One run of the sweeper: how long the longest overdue task had waited; its absence is an alarm too.

    `waiting`: the backlog that it saw, tasks without a slot and doorbells that nobody has heard.
    """
    metrics.add_metric(MetricName.SWEEPER_LAG, MetricUnit.Milliseconds, lag_ms)
    metrics.add_metric(MetricName.BACKLOG, MetricUnit.Count, waiting)
    metrics.flush_metrics()


def task_started(delay_ms: int) -> None:
    """A task has its first execution, so long after it was submitted."""
    metrics.add_metric(MetricName.START_DELAY, MetricUnit.Milliseconds, max(delay_ms, 0))
    metrics.flush_metrics()


def override_refused() -> None:
    """The routing override cannot be used. Nothing is written while it can, so this costs nothing then."""
    _count(MetricName.ROUTING_OVERRIDE_REFUSED)


def delivery_failed(channel: str) -> None:
    """One try to announce something has failed; nothing is written while all arrive."""
    metrics.add_dimension(name=Dimension.CHANNEL, value=channel)
    _count(MetricName.DELIVERIES_FAILED)


def delivery_given_up() -> None:
    """An announcement is dead. Nothing is written while all arrive, so this costs nothing then."""
    _count(MetricName.DELIVERIES_DEAD)


def task_poisoned() -> None:
    """A task was ended because nobody can start it. Nothing is written while all can be, so this costs nothing then."""
    _count(MetricName.TASKS_POISONED)


def interrupts_closed(count: int = 1) -> None:
    """Questions to people that are open no more: answered, expired, or of a task that was cancelled."""
    _count(MetricName.INTERRUPTS_CLOSED, count)


def spans_lost(count: int) -> None:
    """The tracing backend has not taken them."""
    _count(MetricName.SPANS_LOST, count)


def _count(name: MetricName, count: int = 1) -> None:
    metrics.add_metric(name, MetricUnit.Count, count)
    metrics.flush_metrics()


def _tell_model(model: str, result: StepResult) -> None:
    metrics.add_dimension(name=Dimension.MODEL, value=model)
    metrics.add_metric(MetricName.COST, MetricUnit.Count, result.charged.microusd)
    metrics.add_metric(MetricName.INPUT_TOKENS, MetricUnit.Count, result.usage.input_tokens)
    metrics.add_metric(MetricName.CACHED_TOKENS, MetricUnit.Count, result.usage.cached_tokens)
    metrics.add_metric(MetricName.OUTPUT_TOKENS, MetricUnit.Count, result.usage.output_tokens)
    metrics.flush_metrics()
    if result.expected_cached_tokens:
        # One metric for all models and step types: what breaks a prefix breaks it for all of them.
        share = min(result.usage.cached_tokens / result.expected_cached_tokens, 1) * 100
        metrics.add_metric(MetricName.CACHED_SHARE, MetricUnit.Percent, share)
        metrics.flush_metrics()


class EmfMetrics:
    """Writes step metrics in the embedded metric format: no request, no wait."""

    def step_finished(self, record: StepRecord, *, task: Task) -> None:
        """One committed step: count and duration by step type, dollars and tokens by model."""
        result = record.result
        with_model = result.model or "none"
        milliseconds = record.finished_at_ms - record.started_at_ms
        metrics.add_dimension(name=Dimension.STEP_TYPE, value=result.type.value)
        metrics.add_metric(MetricName.STEP_DURATION, MetricUnit.Milliseconds, milliseconds)
        _count(MetricName.STEPS)
        _tell_model(with_model, result)
        if isinstance(record.next, Paused):
            _count(MetricName.INTERRUPTS_OPENED, len(record.next.interrupts))
        logger.info(
            "step finished",
            extra={
                "task_id": task.ref.task_id,
                "tenant": task.ref.tenant,
                "step": record.number,
                "step_type": result.type.value,
                "model": with_model,
                "cost_microusd": result.cost_microusd,
                "lost_microusd": result.lost.microusd,
                "lost_tokens": result.lost.tokens,
                "ms": milliseconds,
            },
        )
