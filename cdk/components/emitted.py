"""Our own metrics, as alarms and the dashboard ask for them: by the names that the code emits, and no others."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from ratchet.contracts.metric_names import METRICS, Dimension, MetricName
from ratchet.contracts.names import METRICS_NAMESPACE

PERIOD = Duration.minutes(5)


def emitted(
    name: MetricName,
    statistic: str,
    *,
    period: Duration = PERIOD,
    service: str | None = None,
    label: str | None = None,
    value: str | None = None,
) -> cloudwatch.Metric:
    """One series of a metric; `value` is that of its dimension beside `service`, given where there are several.

    Raises:
        ValueError: nothing emits such a series.
    """
    known = METRICS[name]
    if service is None:
        (service,) = known.services
    if service not in known.services or bool(known.dimensions) != bool(value):
        raise ValueError(f"{name} is emitted as {known}")
    dimensions: dict[str, str] = {"service": service}
    dimensions |= dict.fromkeys(known.dimensions, value or "")
    return cloudwatch.Metric(
        namespace=METRICS_NAMESPACE,
        metric_name=name,
        dimensions_map=dimensions,
        period=period,
        statistic=statistic,
        label=label,
    )


def search(name: MetricName, statistic: str, *, by: Dimension) -> str:
    """A metric math expression: the series of every value that the dimension takes."""
    if METRICS[name].dimensions != (by,):
        raise ValueError(f"{name} is emitted as {METRICS[name]}")
    schema = ",".join((METRICS_NAMESPACE, *sorted(("service", by))))
    return f"SEARCH('{{{schema}}} MetricName=\"{name}\"', '{statistic}')"
