"""Resource types that a local run does without: where that is safe, and where it is not and the run is refused."""

from dataclasses import dataclass

NO_IAM = "there is no access control locally: every caller may do everything"
NO_OPERATIONS = "there is no monitoring locally: read the function logs instead"


@dataclass(frozen=True, slots=True)
class IgnoredType:
    """Why nothing is created, and what Ref and GetAtt give instead."""

    reason: str
    arn: str = ""
    ref_is_arn: bool = False
    other_attributes: tuple[str, ...] = ()


IGNORED_TYPES = {
    "AWS::CDK::Metadata": IgnoredType("usage statistics of the CDK"),
    "AWS::IAM::Role": IgnoredType(
        NO_IAM, arn="arn:aws:iam::{account}:role/{name}", other_attributes=("RoleId",)
    ),
    "AWS::IAM::Policy": IgnoredType(NO_IAM),
    "AWS::IAM::ManagedPolicy": IgnoredType(
        NO_IAM, arn="arn:aws:iam::{account}:policy/{name}", ref_is_arn=True
    ),
    "AWS::Lambda::Permission": IgnoredType(NO_IAM),
    "AWS::SQS::QueuePolicy": IgnoredType(NO_IAM),
    "AWS::SNS::TopicPolicy": IgnoredType(NO_IAM),
    "AWS::S3::BucketPolicy": IgnoredType(
        "moto ignores Condition, so enforce_ssl would refuse every request"
    ),
    "AWS::SecretsManager::ResourcePolicy": IgnoredType(NO_IAM),
    "AWS::Logs::LogGroup": IgnoredType(
        "function output goes to the log sink of the stack",
        arn="arn:aws:logs:{region}:{account}:log-group:{name}:*",
    ),
    "AWS::Logs::MetricFilter": IgnoredType(NO_OPERATIONS),
    "AWS::Logs::QueryDefinition": IgnoredType(NO_OPERATIONS),
    "AWS::Logs::ResourcePolicy": IgnoredType(NO_IAM),
    "AWS::CloudWatch::Alarm": IgnoredType(
        NO_OPERATIONS, arn="arn:aws:cloudwatch:{region}:{account}:alarm:{name}"
    ),
    "AWS::CloudWatch::CompositeAlarm": IgnoredType(
        NO_OPERATIONS, arn="arn:aws:cloudwatch:{region}:{account}:alarm:{name}"
    ),
    "AWS::CloudWatch::Dashboard": IgnoredType(NO_OPERATIONS),
    "AWS::Lambda::LayerVersion": IgnoredType(
        "sandboxes use the packages of this virtual environment",
        arn="arn:aws:lambda:{region}:{account}:layer:{name}:1",
        ref_is_arn=True,
    ),
    "AWS::Lambda::LayerVersionPermission": IgnoredType(NO_IAM),
    "AWS::ApplicationAutoScaling::ScalableTarget": IgnoredType(
        "sandboxes are pooled: capacity changes speed, not behaviour"
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": IgnoredType(
        "sandboxes are pooled: capacity changes speed, not behaviour",
        arn="arn:aws:autoscaling:{region}:{account}:scalingPolicy:{name}",
        ref_is_arn=True,
    ),
    "AWS::ResourceGroups::Group": IgnoredType(NO_OPERATIONS),
    "AWS::XRay::SamplingRule": IgnoredType(NO_OPERATIONS),
}

REFUSED_TYPES = {
    "AWS::CloudFront::Distribution": "there is no CloudFront and no AWS WAF locally, and without them the API refuses "
    "every request: leave web_acl_arn out",
}
