"""The customer's own key (`kms=true`): one for all that the stack keeps."""

from aws_cdk import ArnFormat, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

SEND = ("kms:GenerateDataKey", "kms:Decrypt")
"""What SQS asks of who sends to an encrypted queue.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
"""


def customer_key(scope: Construct, id_: str, *, removal: RemovalPolicy) -> kms.Key:
    """A key that the account's IAM governs; of AWS's services only CloudWatch Logs may use it by itself."""
    key = kms.Key(scope, id_, enable_key_rotation=True, removal_policy=removal)
    key.add_to_resource_policy(_for_logs(Stack.of(scope)))
    return key


def allow_sending(key: kms.IKey, sender: iam.IGrantable) -> None:
    """Allow to put messages into queues under this key, and to use it for nothing else."""
    sender.grant_principal.add_to_principal_policy(
        iam.PolicyStatement(
            actions=list(SEND),
            resources=[key.key_arn],
            conditions={
                "StringEquals": {"kms:ViaService": f"sqs.{Stack.of(key).region}.amazonaws.com"}
            },
        )
    )


def _for_logs(stack: Stack) -> iam.PolicyStatement:
    """For log groups of this stack only: CloudFormation begins their names with the stack's.

    The groups themselves cannot be named here: they name the key, and nothing may depend on itself.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """
    groups = stack.format_arn(
        service="logs",
        resource="log-group",
        resource_name=f"{stack.stack_name}-*",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    return iam.PolicyStatement(
        sid="LogGroupsOfThisStack",
        principals=[iam.ServicePrincipal(f"logs.{stack.region}.amazonaws.com")],
        actions=[
            "kms:Encrypt",
            "kms:Decrypt",
            "kms:ReEncrypt*",
            "kms:GenerateDataKey*",
            "kms:DescribeKey",
        ],
        resources=["*"],  # in a key's own policy: this key
        conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
    )
