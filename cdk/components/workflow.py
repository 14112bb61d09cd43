"""The state machine that runs a task step by step."""

import json
from typing import cast

from aws_cdk import ArnFormat, CfnElement, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct, IConstruct

from cdk.components.acknowledged import acknowledge
from cdk.components.customer_key import allow_sending
from cdk.components.python_function import Platform
from ratchet.contracts.names import Json


class Workflow(Construct):
    """Its definition stays literal text in the template: cfn-lint and people can read it."""

    def __init__(  # noqa: PLR0913 - a construct names all that it needs
        self,
        scope: Construct,
        id_: str,
        *,
        definition: dict[str, Json],
        step_executor: lambda_.Function,
        inbox: sqs.IQueue,
        outbox: sqs.IQueue,
        platform: Platform,
    ) -> None:
        super().__init__(scope, id_)
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_type=sfn.StateMachineType.STANDARD,
            definition_body=sfn.DefinitionBody.from_string(json.dumps(definition, indent=1)),
            definition_substitutions={
                # A version, not the function: running executions keep their definition, and so their code.
                "StepExecutorArn": step_executor.current_version.function_arn,
                "InboxQueueUrl": inbox.queue_url,
                "OutboxQueueUrl": outbox.queue_url,
            },
            logs=sfn.LogOptions(
                destination=platform.logs.group(self, "Logs"),
                level=sfn.LogLevel.ERROR,
                include_execution_data=False,
            ),
            tracing_enabled=platform.tracing,
        )
        self.version_arn = self._publish()
        self._allow("lambda:InvokeFunction", f"{step_executor.function_arn}:*")
        for queue in (inbox, outbox):
            self._allow("sqs:SendMessage", queue.queue_arn)
        if platform.logs.key is not None:  # the queues are under the same key
            allow_sending(platform.logs.key, self.machine)
        acknowledge(
            self.machine,
            {
                "SF1": "Standard executions keep every event in their history; logging all of "
                "them again would cost more than the steps.",
                f"IAM5[Resource::<{self._id_of(step_executor)}.Arn>:*]": "Every version of the step "
                "executor: executions that began before a deployment run the version they began with.",
                "SF2": "Tracing is a context option (tracing=true): it is billed per trace.",
                "IAM5[Resource::*]": "Log delivery and X-Ray know no resource-level permissions: "
                "https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html",
            },
        )

    def grant_control(self, grantee: iam.IGrantable, *actions: str) -> None:
        """Allow actions on this machine's executions."""
        machine = cast("sfn.CfnStateMachine", self.machine.node.default_child)
        executions = Stack.of(self).format_arn(
            service="states",
            resource="execution",
            resource_name=f"{machine.attr_name}:*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        iam.Grant.add_to_principal(
            grantee=grantee, actions=list(actions), resource_arns=[executions]
        )
        name = Stack.of(self).get_logical_id(machine)
        acknowledge(
            cast("IConstruct", grantee.grant_principal),
            {
                "IAM5[Resource::arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:"
                f"execution:<{name}.Name>:*]": "Executions are named by task id; only this machine's."
            },
        )

    def _publish(self) -> str:
        """The version of this deployment, kept when the next one replaces it: open tasks go on with theirs.

        Nothing deletes a version, nor the Lambda version that it names; Step Functions takes 1,000 of a machine.
        A version that was replaced 60 days ago may be deleted by hand: its tasks have met their deadline (30 days at
        most) and their retention (30 days). A task whose version is gone all the same goes on with the current one.
        """
        machine = cast("sfn.CfnStateMachine", self.machine.node.default_child)
        version = sfn.CfnStateMachineVersion(
            self,
            "Version",
            state_machine_arn=self.machine.state_machine_arn,
            # A new revision replaces the version; without the id, CloudFormation would publish only once.
            state_machine_revision_id=machine.attr_state_machine_revision_id,
        )
        version.apply_removal_policy(RemovalPolicy.RETAIN)
        return version.attr_arn

    def _id_of(self, construct: Construct) -> str:
        return Stack.of(self).get_logical_id(cast("CfnElement", construct.node.default_child))

    def _allow(self, action: str, resource: str) -> None:
        self.machine.add_to_role_policy(iam.PolicyStatement(actions=[action], resources=[resource]))
