"""AWS::SQS, AWS::SNS and AWS::Events types."""

import json

from ratchet.local.errors import LocalStackError
from ratchet.local.events.delivery import check_target
from ratchet.local.events.rules import Rule, Target
from ratchet.local.events.schedule import parse_rate
from ratchet.local.json_types import Json, JsonObject
from ratchet.local.runtime import Runtime
from ratchet.local.template.resource import Created, Wanted, pick, resource

_QUEUE_ATTRIBUTES = (
    "FifoQueue VisibilityTimeout DelaySeconds MessageRetentionPeriod MaximumMessageSize "
    "ReceiveMessageWaitTimeSeconds RedrivePolicy ContentBasedDeduplication"
)
_NO_ENCRYPTION = "nothing is encrypted locally"
_PROTOCOLS = ("sqs", "lambda", "http", "https")
_TARGET_PROPERTIES = {"Arn", "Id", "Input", "RetryPolicy", "DeadLetterConfig", "RoleArn"}


@resource(
    "AWS::SQS::Queue",
    honours=f"QueueName {_QUEUE_ATTRIBUTES}",
    ignores={
        "KmsMasterKeyId": _NO_ENCRYPTION,
        "KmsDataKeyReusePeriodSeconds": _NO_ENCRYPTION,
        "SqsManagedSseEnabled": _NO_ENCRYPTION,
        "RedriveAllowPolicy": "no access control locally",
        "DeduplicationScope": "throughput only",
        "FifoThroughputLimit": "throughput only",
    },
    name_property="QueueName",
    name_limit=75,
)
def queue(runtime: Runtime, wanted: Wanted) -> Created:
    """A queue."""
    attributes = {
        name: _attribute(value)
        for name, value in pick(wanted.properties, _QUEUE_ATTRIBUTES).items()
    }
    is_fifo = attributes.get("FifoQueue") == "true"
    name = wanted.name if not is_fifo or wanted.name.endswith(".fifo") else f"{wanted.name}.fifo"
    sqs = runtime.endpoint.client("sqs")
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = runtime.endpoint.arn("sqs", name)
    return Created(url, {"Arn": arn, "QueueName": name, "QueueUrl": url})


@resource(
    "AWS::SNS::Topic",
    honours="TopicName FifoTopic ContentBasedDeduplication",
    ignores={
        "DisplayName": "documentation",
        "KmsMasterKeyId": _NO_ENCRYPTION,
        "SignatureVersion": "notifications are not signed locally",
        "TracingConfig": "no X-Ray locally",
    },
    name_property="TopicName",
)
def topic(runtime: Runtime, wanted: Wanted) -> Created:
    """A topic."""
    attributes = {
        name: _attribute(value)
        for name, value in pick(wanted.properties, "FifoTopic ContentBasedDeduplication").items()
    }
    sns = runtime.endpoint.client("sns")
    arn = sns.create_topic(Name=wanted.name, Attributes=attributes)["TopicArn"]
    return Created(arn, {"TopicArn": arn, "TopicName": wanted.name})


@resource(
    "AWS::SNS::Subscription",
    honours="TopicArn Protocol Endpoint RawMessageDelivery FilterPolicy FilterPolicyScope",
    ignores={
        "RedrivePolicy": "local deliveries do not fail",
        "DeliveryPolicy": "local deliveries do not fail",
        "Region": "there is one region",
    },
)
def subscription(runtime: Runtime, wanted: Wanted) -> Created:
    """A subscription of a queue, a function or a web address."""
    properties = wanted.properties
    wanted.require("Protocol", *_PROTOCOLS)
    attributes = {
        name: _attribute(value)
        for name, value in pick(
            properties, "RawMessageDelivery FilterPolicy FilterPolicyScope"
        ).items()
    }
    arn = runtime.endpoint.client("sns").subscribe(
        TopicArn=properties["TopicArn"],
        Protocol=properties["Protocol"],
        Endpoint=properties["Endpoint"],
        Attributes=attributes,
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    return Created(arn, {"Arn": arn})


@resource(
    "AWS::Events::Rule",
    honours="Name EventPattern ScheduleExpression State Targets EventBusName",
    ignores={"RoleArn": "no access control locally"},
    name_limit=64,
)
def rule(runtime: Runtime, wanted: Wanted) -> Created:
    """A rule of the default bus."""
    properties = wanted.properties
    wanted.require("EventBusName", None, "default")
    schedule = properties.get("ScheduleExpression")
    arn = runtime.endpoint.arn("events", f"rule/{wanted.name}")
    new_rule = Rule(
        name=wanted.name,
        arn=arn,
        targets=tuple(_target(target) for target in properties.get("Targets") or ()),
        pattern=properties.get("EventPattern"),
        every_minutes=None if schedule is None else parse_rate(schedule),
    )
    if properties.get("State", "ENABLED") != "DISABLED":
        runtime.rules.add(new_rule)
    return Created(wanted.name, {"Arn": arn})


def _target(target: JsonObject) -> Target:
    unknown = set(target) - _TARGET_PROPERTIES
    if unknown:
        raise LocalStackError(
            f"{', '.join(sorted(unknown))} of target {target['Id']} is not supported locally"
        )
    check_target(target["Arn"])
    constant = target.get("Input")
    return Target(target["Arn"], None if constant is None else json.loads(constant))


def _attribute(value: Json) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
