"""Where tasks are kept: one DynamoDB table, and a bucket for bodies that are too large for it.

Both are stateful: changing a construct id on the way to them replaces them, so that needs a
migration note.
"""

from collections.abc import Sequence
from typing import cast

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct, IConstruct

from cdk.components.acknowledged import acknowledge
from cdk.components.customer_key import customer_key

TEXT = dynamodb.AttributeType.STRING
BY_TENANT = "by_tenant"
DUE = "due"
WAITING = "waiting"
LISTED = ["status", "agent", "user_id", "created_at", "updated_at", "steps", "cost_microusd"]
READ = ("dynamodb:GetItem", "dynamodb:Query")
COUNT = ("dynamodb:BatchGetItem",)  # several tenants' running tasks, a session's tasks, a memory
ERASE = ("dynamodb:BatchWriteItem",)
ERASE_ONE = (
    "dynamodb:DeleteItem",
)  # a session or memory that is as it was read, a deleted task's place
READ_BODIES = "s3:GetObject"
WRITE_BODIES = "s3:PutObject"
ERASE_BODIES = "s3:DeleteObject"
WRITE = ("dynamodb:PutItem", "dynamodb:UpdateItem")
CHECK = ("dynamodb:ConditionCheckItem",)  # the fence of unsafe calls


class Checkpoints(Construct):
    """Grants name exact actions: nothing may Scan, only sweeper and api may delete, and step_executor forget."""

    def __init__(
        self, scope: Construct, id_: str, *, removal: RemovalPolicy, with_key: bool
    ) -> None:
        super().__init__(scope, id_)
        self.key = customer_key(self, "Key", removal=removal) if with_key else None
        self.table = self._table(removal)
        self.payloads = self._payloads(removal)

    def grant_table(
        self, grantee: iam.IGrantable, actions: Sequence[str], *, indexes: Sequence[str] = ()
    ) -> None:
        """Allow these actions on the table, and Query on these indexes."""
        iam.Grant.add_to_principal(
            grantee=grantee, actions=list(actions), resource_arns=[self.table.table_arn]
        )
        if indexes:
            iam.Grant.add_to_principal(
                grantee=grantee,
                actions=["dynamodb:Query"],
                resource_arns=[f"{self.table.table_arn}/index/{name}" for name in indexes],
            )
        if self.key is not None:
            self.key.grant_encrypt_decrypt(grantee)
            acknowledge(
                cast("IConstruct", grantee.grant_principal),
                dict.fromkeys(
                    ("IAM5[Action::kms:GenerateDataKey*]", "IAM5[Action::kms:ReEncrypt*]"),
                    "The variants that DynamoDB asks for, on our own key only: "
                    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html",
                ),
            )

    def grant_forgetting(self, grantee: iam.IGrantable) -> None:
        """Allow to delete what is remembered, and nothing else."""
        grantee.grant_principal.add_to_principal_policy(
            iam.PolicyStatement(
                actions=list(ERASE_ONE),
                resources=[self.table.table_arn],
                conditions={
                    "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["TENANT#*#MEMORY#*"]}
                },
            )
        )

    def grant_payloads(self, grantee: iam.IGrantable, *actions: str) -> None:
        """Allow actions on bodies, and to learn that one is gone."""
        iam.Grant.add_to_principal(
            grantee=grantee,
            actions=list(actions),
            resource_arns=[self.payloads.arn_for_objects("*")],
        )
        bucket = Stack.of(self).get_logical_id(
            cast("s3.CfnBucket", self.payloads.node.default_child)
        )
        acknowledge(
            cast("IConstruct", grantee.grant_principal),
            {f"IAM5[Resource::<{bucket}.Arn>/*]": "Bodies are named by their hash, so any object."},
        )
        # Without it S3 answers 403 for an object that is gone, which reads as a permission problem.
        iam.Grant.add_to_principal(
            grantee=grantee, actions=["s3:ListBucket"], resource_arns=[self.payloads.bucket_arn]
        )

    def _table(self, removal: RemovalPolicy) -> dynamodb.Table:
        table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="pk", type=TEXT),
            sort_key=dynamodb.Attribute(name="sk", type=TEXT),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute="expires_at",
            encryption_key=self.key,
            removal_policy=removal,
        )
        table.add_global_secondary_index(
            index_name=BY_TENANT,
            partition_key=dynamodb.Attribute(name="tenant_key", type=TEXT),
            sort_key=dynamodb.Attribute(name="task_id", type=TEXT),
            projection_type=dynamodb.ProjectionType.INCLUDE,
            non_key_attributes=LISTED,
        )
        table.add_global_secondary_index(
            index_name=DUE,
            partition_key=dynamodb.Attribute(name="due", type=TEXT),
            sort_key=dynamodb.Attribute(name="due_at", type=dynamodb.AttributeType.NUMBER),
            projection_type=dynamodb.ProjectionType.INCLUDE,
            non_key_attributes=["status"],
        )
        table.add_global_secondary_index(
            index_name=WAITING,
            partition_key=dynamodb.Attribute(name="waiting", type=TEXT),
            sort_key=dynamodb.Attribute(name="wait_rank", type=TEXT),
            projection_type=dynamodb.ProjectionType.KEYS_ONLY,
        )
        return table

    def _payloads(self, removal: RemovalPolicy) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "Payloads",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.KMS if self.key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=self.key,
            bucket_key_enabled=True if self.key else None,
            enforce_ssl=True,
            # The sweeper erases bodies with their tasks; this takes only what a crash left without one.
            lifecycle_rules=[
                s3.LifecycleRule(
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                    expiration=Duration.days(400),
                )
            ],
            removal_policy=removal,
        )
        acknowledge(
            bucket,
            {"S1": "Only our own roles can reach it; server access logs would double its cost."},
        )
        return bucket
