"""What runs, what waits, what it costs and what does not arrive, on one page."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from cdk.components.emitted import PERIOD, emitted, search
from cdk.components.inbox import Inbox
from ratchet.contracts.metric_names import Dimension, MetricName
from ratchet.contracts.names import Channel, StepType

WIDTH = 8
HOUR = Duration.hours(1)


class Dashboard(Construct):
    """Nine widgets in three rows; the account's first three dashboards are free."""

    def __init__(
        self, scope: Construct, id_: str, *, inbox: Inbox, outbox: Inbox, machine: sfn.StateMachine
    ) -> None:
        super().__init__(scope, id_)
        cloudwatch.Dashboard(
            self,
            "Page",
            default_interval=Duration.days(1),
            widgets=[
                [self._backlog(inbox, outbox), _start_delay(), _step_latency()],
                [_dollars(), _cache(), _tokens()],
                [_people(), _deliveries(), _executions(machine)],
            ],
        )

    def _backlog(self, inbox: Inbox, outbox: Inbox) -> cloudwatch.IWidget:
        queues = [
            queue.queue.metric_approximate_number_of_messages_visible(
                period=PERIOD, statistic="Maximum", label=label
            )
            for label, queue in (("inbox", inbox), ("outbox", outbox))
        ]
        seen = emitted(MetricName.BACKLOG, "Maximum", label="tasks that wait, as sampled")
        return _graph("Backlog", seen, *queues)


def _start_delay() -> cloudwatch.IWidget:
    return _graph(
        "Start delay (ms from submission to the first execution)",
        *(emitted(MetricName.START_DELAY, p, label=p) for p in ("p50", "p95", "Maximum")),
    )


def _step_latency() -> cloudwatch.IWidget:
    return _graph(
        "Step latency p90 by type (ms)",
        *(
            emitted(MetricName.STEP_DURATION, "p90", value=type_.value, label=type_.value)
            for type_ in StepType
        ),
    )


def _dollars() -> cloudwatch.IWidget:
    each = search(MetricName.COST, "Sum", by=Dimension.MODEL)
    return _graph(
        "Dollars by model, each hour", _math(f"{each} / 1000000", "", HOUR), is_stacked=True
    )


def _cache() -> cloudwatch.IWidget:
    cached = search(MetricName.CACHED_TOKENS, "Sum", by=Dimension.MODEL)
    asked = search(MetricName.INPUT_TOKENS, "Sum", by=Dimension.MODEL)
    return _graph(
        "Cache hit share (%)",
        _math(f"100 * SUM({cached}) / SUM({asked})", "of all input tokens", HOUR),
        emitted(MetricName.CACHED_SHARE, "Average", label="of what caches should hold"),
    )


def _tokens() -> cloudwatch.IWidget:
    found = (MetricName.INPUT_TOKENS, MetricName.OUTPUT_TOKENS)
    return _graph(
        "Tokens, each hour",
        *(
            _math(f"SUM({search(name, 'Sum', by=Dimension.MODEL)})", name.value, HOUR)
            for name in found
        ),
    )


def _people() -> cloudwatch.IWidget:
    opened = emitted(MetricName.INTERRUPTS_OPENED, "Sum", label="asked")
    closed = {
        service: emitted(MetricName.INTERRUPTS_CLOSED, "Sum", service=service, label=label)
        for service, label in (("api", "settled"), ("sweeper", "expired"))
    }
    waiting = cloudwatch.MathExpression(
        expression="RUNNING_SUM(FILL(opened, 0) - FILL(api, 0) - FILL(sweeper, 0))",
        using_metrics={"opened": opened, **closed},
        label="waiting, more than at the left edge",
        period=PERIOD,
    )
    return _graph("Questions to people", waiting, opened, *closed.values())


def _deliveries() -> cloudwatch.IWidget:
    failed = [
        emitted(MetricName.DELIVERIES_FAILED, "Sum", value=c.value, label=f"{c.value} failed")
        for c in Channel
    ]
    dead = emitted(MetricName.DELIVERIES_DEAD, "Sum", label="given up")
    return _graph("Failed tries to announce", *failed, dead)


def _executions(machine: sfn.StateMachine) -> cloudwatch.IWidget:
    lost = [
        emitted(MetricName.SPANS_LOST, "Sum", service=service, label=f"spans lost by {service}")
        for service in ("step_executor", "deliverer")
    ]
    steps = [
        emitted(MetricName.STEPS, "Sum", value=type_.value, label=f"{type_.value} steps")
        for type_ in StepType
    ]
    failed = machine.metric_failed(period=PERIOD, label="executions failed")
    return _graph("Steps, and what failed", *steps, failed, *lost)


def _math(expression: str, label: str, period: Duration) -> cloudwatch.MathExpression:
    return cloudwatch.MathExpression(
        expression=expression, label=label, period=period, using_metrics={}
    )


def _graph(
    title: str, *metrics: cloudwatch.IMetric, is_stacked: bool = False
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, width=WIDTH, left=list(metrics), stacked=is_stacked)
