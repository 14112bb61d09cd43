"""Sandboxes of step_executor that are kept warm while there is a backlog, when the context asks for them."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import custom_resources as custom
from constructs import Construct

from cdk.components.acknowledged import acknowledge
from cdk.components.emitted import emitted
from cdk.components.retention import LogKeeping
from ratchet.contracts.limits import ADMISSION_SHALLOW_DEPTH
from ratchet.contracts.metric_names import MetricName

# The name that the CDK gives the one function behind all AwsCustomResources of a stack.
_PROVIDER = f"AWS{custom.AwsCustomResource.PROVIDER_FUNCTION_UUID.replace('-', '')}"


class WarmSandboxes(Construct):
    """Provisioned concurrency of the version that new executions run, moved by alarms on the backlog.

    Of the version and not of an alias: executions name versions, so that their code does not change under them, and
    only what is called by the name that it is provisioned for is served by it.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        version: lambda_.IVersion,
        logs: LogKeeping,
        minimum: int,
        maximum: int,
    ) -> None:
        super().__init__(scope, id_)
        name, number = version.lambda_.function_name, version.version
        target = scaling.ScalableTarget(
            self,
            "Target",
            service_namespace=scaling.ServiceNamespace.LAMBDA,
            scalable_dimension="lambda:function:ProvisionedConcurrency",
            resource_id=f"function:{name}:{number}",
            min_capacity=minimum,
            max_capacity=maximum,
            role=iam.Role.from_role_arn(self, "Role", self._scaling_role()),
        )
        target.node.add_dependency(self._cleanup(version, logs))
        target.scale_on_metric(
            "Backlog",
            metric=emitted(MetricName.BACKLOG, "Maximum", period=Duration.minutes(1)),
            adjustment_type=scaling.AdjustmentType.CHANGE_IN_CAPACITY,
            scaling_steps=[
                scaling.ScalingInterval(upper=0, change=-maximum),  # to the minimum
                scaling.ScalingInterval(lower=ADMISSION_SHALLOW_DEPTH + 1, change=-(-maximum // 4)),
                scaling.ScalingInterval(lower=10 * ADMISSION_SHALLOW_DEPTH, change=maximum),
            ],
            cooldown=Duration.minutes(2),
        )

    def _scaling_role(self) -> str:
        """The account's own role for this: Application Auto Scaling makes it, and uses no other.

        https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-service-linked-roles.html
        """
        return Stack.of(self).format_arn(
            service="iam",
            region="",
            resource="role/aws-service-role/lambda.application-autoscaling.amazonaws.com",
            resource_name="AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency",
        )

    def _cleanup(self, version: lambda_.IVersion, logs: LogKeeping) -> Construct:
        """What the next deployment calls for this version: it is kept for its executions, and must not be kept warm."""
        function = version.lambda_
        arns = [f"{function.function_arn}:*"]
        cleanup = custom.AwsCustomResource(
            self,
            "Cleanup",
            on_update=custom.AwsSdkCall(
                service="Lambda",
                action="GetFunctionConfiguration",
                parameters={"FunctionName": function.function_name, "Qualifier": version.version},
                physical_resource_id=custom.PhysicalResourceId.of(version.version),
                output_paths=["Version"],
            ),
            on_delete=custom.AwsSdkCall(
                service="Lambda",
                action="DeleteProvisionedConcurrencyConfig",
                parameters={
                    "FunctionName": function.function_name,
                    "Qualifier": custom.PhysicalResourceIdReference(),
                },
                ignore_error_codes_matching="ResourceNotFound",
            ),
            policy=custom.AwsCustomResourcePolicy.from_statements(
                [
                    iam.PolicyStatement(
                        actions=[
                            "lambda:GetFunctionConfiguration",
                            "lambda:DeleteProvisionedConcurrencyConfig",
                        ],
                        resources=arns,
                    )
                ]
            ),
            install_latest_aws_sdk=False,
            # Without one, Lambda makes a group that is kept for ever and is under nobody's key.
            log_group=logs.group(self, "CleanupLogs"),
        )
        self._acknowledge(function, cleanup)
        return cleanup

    def _acknowledge(self, function: lambda_.IFunction, cleanup: custom.AwsCustomResource) -> None:
        stack = Stack.of(self)
        name = stack.get_logical_id(function.node.default_child)  # type: ignore[arg-type]
        acknowledge(
            cleanup,
            {f"IAM5[Resource::<{name}.Arn>:*]": "Every version of the step executor, and only it."},
        )
        managed = "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]"
        acknowledge(
            stack.node.find_child(_PROVIDER),
            {
                managed: "The CDK's own function: it runs at deployments and writes its log.",
                "L1": "The CDK chooses the runtime of its own function.",
            },
        )
