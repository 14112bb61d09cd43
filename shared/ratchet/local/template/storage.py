"""AWS::DynamoDB, AWS::S3, AWS::SecretsManager, AWS::SSM and AWS::KMS types."""

import json

from ratchet.local.errors import LocalStackError
from ratchet.local.runtime import Runtime
from ratchet.local.template.resource import Created, Wanted, is_true, pick, resource

_NO_ENCRYPTION = "nothing is encrypted locally"
_NO_RECOVERY = "a local table is not backed up"
_THROUGHPUT = "no throughput limits locally"
_TABLE_IGNORES = {
    "PointInTimeRecoverySpecification": _NO_RECOVERY,
    "DeletionProtectionEnabled": "nothing deletes a local table",
    "SSESpecification": _NO_ENCRYPTION,
    "ContributorInsightsSpecification": "no insights locally",
    "TableClass": "billing only",
    "OnDemandThroughput": _THROUGHPUT,
    "WarmThroughput": _THROUGHPUT,
    "ResourcePolicy": "no access control locally",
    "WriteOnDemandThroughputSettings": _THROUGHPUT,
    "WriteProvisionedThroughputSettings": _THROUGHPUT,
}
_TABLE_HONOURS = (
    "TableName AttributeDefinitions KeySchema BillingMode GlobalSecondaryIndexes "
    "LocalSecondaryIndexes StreamSpecification TimeToLiveSpecification"
)
_INDEX = "IndexName KeySchema Projection ProvisionedThroughput"


@resource(
    "AWS::DynamoDB::Table",
    honours=f"{_TABLE_HONOURS} ProvisionedThroughput",
    ignores=_TABLE_IGNORES,
    name_property="TableName",
)
def table(runtime: Runtime, wanted: Wanted) -> Created:
    """A table; items past their time to live stay, as they may for two days on AWS."""
    properties = wanted.properties
    arguments = pick(
        properties,
        "AttributeDefinitions KeySchema LocalSecondaryIndexes ProvisionedThroughput",
    )
    arguments["BillingMode"] = properties.get("BillingMode", "PROVISIONED")
    if indexes := properties.get("GlobalSecondaryIndexes"):
        arguments["GlobalSecondaryIndexes"] = [pick(index, _INDEX) for index in indexes]
    if stream := properties.get("StreamSpecification"):
        arguments["StreamSpecification"] = {
            "StreamEnabled": True,
            "StreamViewType": stream["StreamViewType"],
        }
    dynamodb = runtime.endpoint.client("dynamodb")
    created = dynamodb.create_table(TableName=wanted.name, **arguments)["TableDescription"]
    if ttl := properties.get("TimeToLiveSpecification"):
        specification = {
            "Enabled": is_true(ttl.get("Enabled", True)),
            "AttributeName": ttl["AttributeName"],
        }
        dynamodb.update_time_to_live(TableName=wanted.name, TimeToLiveSpecification=specification)
    attributes = {"Arn": created["TableArn"], "StreamArn": created.get("LatestStreamArn", "")}
    return Created(wanted.name, attributes)


@resource(
    "AWS::DynamoDB::GlobalTable",
    honours=f"{_TABLE_HONOURS} Replicas",
    ignores=_TABLE_IGNORES,
    name_property="TableName",
)
def global_table(runtime: Runtime, wanted: Wanted) -> Created:
    """A global table with its one local replica."""
    if len(wanted.properties.get("Replicas") or []) > 1:
        raise LocalStackError("Replicas in more than one region are not supported locally")
    return table(runtime, wanted)


@resource(
    "AWS::S3::Bucket",
    honours="BucketName VersioningConfiguration",
    ignores={
        "BucketEncryption": _NO_ENCRYPTION,
        "PublicAccessBlockConfiguration": "no access control locally",
        "OwnershipControls": "no access control locally",
        "AccessControl": "no access control locally",
        "LifecycleConfiguration": "local objects do not expire",
        "LoggingConfiguration": "no access log locally",
        "MetricsConfigurations": "no metrics locally",
        "IntelligentTieringConfigurations": "billing only",
    },
    name_property="BucketName",
    name_limit=63,
)
def bucket(runtime: Runtime, wanted: Wanted) -> Created:
    """A bucket."""
    name = wanted.name.lower()
    s3 = runtime.endpoint.client("s3")
    s3.create_bucket(Bucket=name)
    if versioning := wanted.properties.get("VersioningConfiguration"):
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
    domain = f"{name}.s3.amazonaws.com"
    regional = f"{name}.s3.{runtime.endpoint.region}.amazonaws.com"
    arn = f"arn:aws:s3:::{name}"
    return Created(name, {"Arn": arn, "DomainName": domain, "RegionalDomainName": regional})


@resource(
    "AWS::SecretsManager::Secret",
    honours="Name SecretString GenerateSecretString",
    ignores={"KmsKeyId": _NO_ENCRYPTION},
)
def secret(runtime: Runtime, wanted: Wanted) -> Created:
    """A secret; a generated value stays the same as long as the state directory does."""
    specification = pick(wanted.properties, "SecretString GenerateSecretString")
    value = runtime.secrets.value(wanted.name, specification)
    secretsmanager = runtime.endpoint.client("secretsmanager")
    arn = secretsmanager.create_secret(Name=wanted.name, SecretString=value)["ARN"]
    return Created(arn, {"Id": arn})


@resource(
    "AWS::SSM::Parameter",
    honours="Name Type Value",
    ignores={
        "AllowedPattern": "checked by CloudFormation on AWS",
        "DataType": "checked by SSM on AWS",
        "Tier": "billing only",
    },
)
def parameter(runtime: Runtime, wanted: Wanted) -> Created:
    """A parameter."""
    kind, value = wanted.properties["Type"], str(wanted.properties["Value"])
    runtime.endpoint.client("ssm").put_parameter(Name=wanted.name, Type=kind, Value=value)
    return Created(wanted.name, {"Type": kind, "Value": value})


@resource(
    "AWS::KMS::Key",
    honours="KeySpec KeyUsage",
    ignores={
        "KeyPolicy": "no access control locally",
        "EnableKeyRotation": "local keys live as long as the process",
        "RotationPeriodInDays": "local keys live as long as the process",
        "PendingWindowInDays": "nothing deletes a local key",
        "Enabled": "local keys are enabled",
        "MultiRegion": "there is one region",
    },
)
def key(runtime: Runtime, wanted: Wanted) -> Created:
    """A key; its material is new at every boot."""
    arguments = pick(wanted.properties, "KeySpec KeyUsage")
    metadata = runtime.endpoint.client("kms").create_key(
        Policy=json.dumps({"Version": "2012-10-17", "Statement": []}), **arguments
    )["KeyMetadata"]
    return Created(metadata["KeyId"], {"Arn": metadata["Arn"], "KeyId": metadata["KeyId"]})


@resource("AWS::KMS::Alias", honours="AliasName TargetKeyId", name_property="AliasName")
def key_alias(runtime: Runtime, wanted: Wanted) -> Created:
    """A name of a key."""
    runtime.endpoint.client("kms").create_alias(
        AliasName=wanted.name, TargetKeyId=wanted.properties["TargetKeyId"]
    )
    return Created(wanted.name)
