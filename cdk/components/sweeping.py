"""When the sweeper runs: every minute, and at once when an execution ends without success."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

EVERY = Duration.minutes(1)


class Sweeping(Construct):
    """The events are best effort, so the schedule is what the promises rest on.

    https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        sweeper: lambda_.IFunction,
        machine: sfn.StateMachine,
    ) -> None:
        super().__init__(scope, id_)
        target = targets.LambdaFunction(sweeper)
        events.Rule(self, "EveryMinute", schedule=events.Schedule.rate(EVERY), targets=[target])
        events.Rule(
            self,
            "ExecutionDied",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={
                    "stateMachineArn": [machine.state_machine_arn],
                    "status": ["FAILED", "TIMED_OUT", "ABORTED"],
                },
            ),
            targets=[target],
        )
