"""What becomes of dead letters: the sweeper takes them, and an alarm tells of the tasks that it had to end."""

from collections.abc import Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk.components.emitted import emitted
from cdk.components.inbox import Inbox
from ratchet.contracts.metric_names import MetricName


class Poison(Construct):
    """The sweeper and not a function of its own: it may do just what is to be done here, and starts no slower."""

    def __init__(
        self, scope: Construct, id_: str, *, queues: Sequence[Inbox], sweeper: lambda_.Function
    ) -> None:
        super().__init__(scope, id_)
        for queue in queues:
            queue.bury(sweeper)
        cloudwatch.Alarm(
            self,
            "TasksPoisoned",
            metric=emitted(MetricName.TASKS_POISONED, "Sum"),
            alarm_description="A task could not be started and was ended as failed (poison), or a run of a schedule "
            "was missed. The sweeper's log names it; mend the cause, then `ratchet resume` the task.",
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
