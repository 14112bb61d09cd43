"""What a person must look at."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from cdk.components.emitted import PERIOD, emitted
from cdk.components.inbox import Inbox
from ratchet.contracts.metric_names import MetricName


class Alarms(Construct):
    """One occurrence is enough for what should never happen."""

    def __init__(  # noqa: PLR0913 - a construct names all that it needs
        self,
        scope: Construct,
        id_: str,
        *,
        inbox: Inbox,
        outbox: Inbox,
        machine: sfn.StateMachine,
        step_executor: lambda_.IFunction,
        sweeper: lambda_.IFunction,
    ) -> None:
        super().__init__(scope, id_)
        self._watch_models()
        self._watch_deliveries()
        for name, queue in (("Inbox", inbox), ("Outbox", outbox)):
            self._alarm(
                f"{name}DeadLetters",
                queue.dead_letters.metric_approximate_number_of_messages_visible(
                    period=PERIOD, statistic="max"
                ),
                "Messages were given up on; look at them, mend the cause, redrive.",
            )
        self._alarm(
            "ExecutionsFailed",
            machine.metric_failed(period=PERIOD),
            "An execution ended outside its own error handling; its task may stay open.",
        )
        self._alarm(
            "StepErrors",
            step_executor.metric_errors(period=PERIOD),
            "Steps fail and are retried; persistent errors end tasks.",
            threshold=5,
        )
        self._alarm(
            "SweeperErrors",
            sweeper.metric_errors(period=PERIOD),
            "The safety net fails: lost messages and dead executions are not mended.",
        )
        self._alarm(
            "SweeperLag",
            emitted(MetricName.SWEEPER_LAG, "Maximum"),
            "Due work waits for more than five minutes, or the sweeper has stopped: no data is an alarm.",
            threshold=300_000,
            no_data=cloudwatch.TreatMissingData.BREACHING,
        )

    def _watch_deliveries(self) -> None:
        """What was announced and did not arrive."""
        self._alarm(
            "DeliveriesDead",
            emitted(MetricName.DELIVERIES_DEAD, "Sum"),
            "An announcement was given up: ten tries failed, or the receiver answered 410. `ratchet deliveries` lists "
            "them and says why; mend the receiver, then `ratchet redeliver`.",
        )

    def _watch_models(self) -> None:
        """What makes models dearer than they were meant to be."""
        self._alarm(
            "CachedShare",
            emitted(MetricName.CACHED_SHARE, "Average", period=Duration.minutes(30)),
            "Providers serve less than half of what their prompt caches should hold: input costs more. Does something "
            "volatile stand at the beginning of an agent's prompt?",
            threshold=50,
            below=True,
        )
        self._alarm(
            "RoutingOverrideRefused",
            emitted(MetricName.ROUTING_OVERRIDE_REFUSED, "Sum"),
            "The routing override cannot be used and the deployed table is; `ratchet routes` says why.",
        )

    def _alarm(
        self,
        id_: str,
        metric: cloudwatch.Metric,
        description: str,
        *,
        threshold: int = 1,
        below: bool = False,
        no_data: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> None:
        cloudwatch.Alarm(
            self,
            id_,
            metric=metric,
            alarm_description=description,
            threshold=threshold,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
            if below
            else cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=no_data,
        )
