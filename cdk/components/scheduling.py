"""EventBridge Scheduler: one group that holds all schedules of callers, and one role that calls one function."""

from typing import cast

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from constructs import Construct, IConstruct

from cdk.components.acknowledged import acknowledge
from ratchet.contracts.limits import FIRING_RETRIES, FIRING_RETRY_SECONDS

CREATE = "scheduler:CreateSchedule"
DELETE = "scheduler:DeleteSchedule"


class Scheduling(Construct):
    """Costs nothing while nothing fires. What fails for good joins the inbox's dead letters, which are consumed."""

    def __init__(self, scope: Construct, id_: str, *, dead_letters: sqs.Queue) -> None:
        super().__init__(scope, id_)
        self.dead_letters = dead_letters
        self.group = scheduler.CfnScheduleGroup(self, "Group")
        self.role = iam.Role(
            self,
            "Role",
            # Not for schedules of other groups or accounts:
            # https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com",
                conditions={
                    "StringEquals": {
                        "aws:SourceAccount": Stack.of(self).account,
                        "aws:SourceArn": self.group.attr_arn,
                    }
                },
            ),
        )
        self._allow(["sqs:SendMessage"], dead_letters.queue_arn)
        if (key := dead_letters.encryption_master_key) is not None:
            self._allow(["kms:GenerateDataKey", "kms:Decrypt"], key.key_arn)

    def call(self, function: lambda_.Function) -> None:
        """Let schedules invoke this function; what it fails at three times is a dead letter."""
        self._allow(["lambda:InvokeFunction"], function.function_arn)
        function.configure_async_invoke(
            max_event_age=Duration.seconds(FIRING_RETRY_SECONDS),
            retry_attempts=FIRING_RETRIES,
            on_failure=destinations.SqsDestination(self.dead_letters),
        )

    def grant(self, grantee: iam.IGrantable, *actions: str) -> None:
        """Allow actions on the schedules of the group."""
        stack = Stack.of(self)
        schedules = stack.format_arn(
            service="scheduler", resource="schedule", resource_name=f"{self.group.ref}/*"
        )
        iam.Grant.add_to_principal(
            grantee=grantee, actions=list(actions), resource_arns=[schedules]
        )
        group = stack.get_logical_id(self.group)
        acknowledge(
            cast("IConstruct", grantee.grant_principal),
            {
                "IAM5[Resource::arn:<AWS::Partition>:scheduler:<AWS::Region>:<AWS::AccountId>:"
                f"schedule/<{group}>/*]": "Schedules are named by the hash of their id; only this group's."
            },
        )

    def grant_handing_over(self, grantee: iam.IGrantable) -> None:
        """Allow to give new schedules this role, and to nobody but EventBridge Scheduler."""
        grantee.grant_principal.add_to_principal_policy(
            iam.PolicyStatement(
                actions=["iam:PassRole"],
                resources=[self.role.role_arn],
                conditions={"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
            )
        )

    def _allow(self, actions: list[str], resource: str) -> None:
        self.role.add_to_policy(iam.PolicyStatement(actions=actions, resources=[resource]))
