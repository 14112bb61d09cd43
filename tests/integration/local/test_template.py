import json
from pathlib import Path
from typing import Any

import pytest

from ratchet.local.errors import LocalStackError
from ratchet.local.stack import LocalStack
from ratchet.local.template.asl_check import check_definition
from tests.integration.local.builder import STACK, Assembly, att

ECHO = """
    import os
    def echo(event, context):
        return dict(os.environ)
"""


@pytest.fixture
def assembly(tmp_path: Path) -> Assembly:
    return Assembly(tmp_path / "cdk.out")


def _start(assembly: Assembly, **options: Any) -> LocalStack:
    return LocalStack.start(assembly.write(ECHO), stack_name=STACK, **options)


def test_parameters_reach_the_functions(assembly: Assembly) -> None:
    assembly.parameters = {
        "Model": {"Type": "String", "Default": "gpt-4o"},
        "Limit": {"Type": "Number", "Default": 5},
        "Bootstrap": {
            "Type": "AWS::SSM::Parameter::Value<String>",
            "Default": "/cdk-bootstrap/hnb659fds/version",
        },
    }
    assembly.conditions = {"Never": {"Fn::Equals": [{"Ref": "Model"}, "none"]}}
    variables = {"MODEL": {"Ref": "Model"}, "LIMIT": {"Ref": "Limit"}}
    assembly.function("Fn", "handlers.echo", Environment={"Variables": variables})
    assembly.add("Absent", "AWS::SQS::Queue")
    assembly.resources["Absent"]["Condition"] = "Never"
    with _start(assembly, parameters={"Model": "o3"}) as stack:
        [name] = stack.function_names()
        reply = json.load(stack.client("lambda").invoke(FunctionName=name)["Payload"])
        queues = stack.client("sqs").list_queues().get("QueueUrls", [])
    assert (reply["MODEL"], reply["LIMIT"]) == ("o3", "5")
    assert queues == []


def test_a_parameter_that_the_template_lacks_is_refused(assembly: Assembly) -> None:
    assembly.function("Fn", "handlers.echo")
    with pytest.raises(LocalStackError, match="no parameter Nope"):
        _start(assembly, parameters={"Nope": "1"})


def test_a_parameter_without_a_value_is_refused(assembly: Assembly) -> None:
    assembly.parameters = {"Key": {"Type": "String"}}
    assembly.function("Fn", "handlers.echo")
    with pytest.raises(LocalStackError, match="Key has no default"):
        _start(assembly)


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        ({"AllowedValues": ["1", "2"]}, "one of"),
        ({"AllowedPattern": "[0-2]+"}, "must match"),
        ({"Type": "Number", "MaxValue": 2}, "between"),
    ],
)
def test_a_parameter_that_breaks_its_constraint_is_refused(
    assembly: Assembly, constraint: dict[str, Any], message: str
) -> None:
    assembly.parameters = {"Size": {"Type": "String", "Default": "1", **constraint}}
    assembly.function("Fn", "handlers.echo")
    with pytest.raises(LocalStackError, match=f"parameter Size .*{message}"):
        _start(assembly, parameters={"Size": "7"})


def test_a_stack_that_is_not_in_the_assembly_is_refused(assembly: Assembly) -> None:
    assembly.function("Fn", "handlers.echo")
    with pytest.raises(LocalStackError, match=r"no stack 'Other'.*\['Small'\]"):
        LocalStack.start(assembly.write(ECHO), stack_name="Other")


UNSUPPORTED: dict[str, tuple[str, dict[str, Any], str]] = {
    "type": ("AWS::Nonsense::Thing", {}, "does not support this type"),
    "custom resource": ("Custom::Thing", {}, "does not support this type"),
    "web front": ("AWS::CloudFront::Distribution", {}, "leave web_acl_arn out"),
    "property": ("AWS::SQS::Queue", {"Nonsense": 1}, "does not honour Nonsense"),
    "runtime": (
        "AWS::Lambda::Function",
        {"Runtime": "nodejs22.x", "Handler": "x.y", "Code": {"ZipFile": ""}},
        "Runtime 'nodejs22.x'",
    ),
    "event source": (
        "AWS::Lambda::EventSourceMapping",
        {"EventSourceArn": "arn:aws:kinesis:us-east-1:1:stream/x", "FunctionName": "f"},
        "event source arn:aws:kinesis",
    ),
    "schedule": (
        "AWS::Events::Rule",
        {"ScheduleExpression": "cron(0 12 * * ? *)"},
        "only rate",
    ),
    "target": (
        "AWS::Events::Rule",
        {"Targets": [{"Id": "t", "Arn": "arn:aws:kinesis:us-east-1:1:stream/x"}]},
        "target arn:aws:kinesis",
    ),
    "protocol": (
        "AWS::SNS::Subscription",
        {"TopicArn": "t", "Protocol": "email", "Endpoint": "a@b"},
        "Protocol 'email'",
    ),
    "express": (
        "AWS::StepFunctions::StateMachine",
        {"StateMachineType": "EXPRESS", "RoleArn": "r", "DefinitionString": "{}"},
        "StateMachineType 'EXPRESS'",
    ),
    "dangling next": (
        "AWS::StepFunctions::StateMachine",
        {
            "RoleArn": "r",
            "DefinitionString": json.dumps(
                {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "Nope"}}}
            ),
        },
        "no state is named 'Nope'",
    ),
    "websocket": (
        "AWS::ApiGatewayV2::Api",
        {"Name": "x", "ProtocolType": "WEBSOCKET"},
        "ProtocolType 'WEBSOCKET'",
    ),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_what_cannot_be_honoured_stops_the_stack_and_is_named(
    assembly: Assembly, case: str
) -> None:
    kind, properties, message = UNSUPPORTED[case]
    assembly.add("Culprit", kind, **properties)
    with pytest.raises(LocalStackError, match=rf"^Culprit \({kind}\): .*{message}"):
        _start(assembly)


def test_an_authorization_type_that_is_not_supported_is_named(assembly: Assembly) -> None:
    assembly.add("Api", "AWS::ApiGatewayV2::Api", Name="x", ProtocolType="HTTP")
    properties = {"RouteKey": "GET /", "Target": "integrations/x", "AuthorizationType": "OIDC"}
    assembly.add("Route", "AWS::ApiGatewayV2::Route", ApiId={"Ref": "Api"}, **properties)
    with pytest.raises(LocalStackError, match=r"^Route \(.*\): AuthorizationType 'OIDC'"):
        _start(assembly)


def test_ignored_resources_are_listed_with_their_reason(assembly: Assembly) -> None:
    assembly.add("Logs", "AWS::Logs::LogGroup", RetentionInDays=7)
    assembly.add("Role", "AWS::IAM::Role")
    assembly.output("Arn", att("Role", "Arn"))
    with _start(assembly) as stack:
        assert set(stack.ignored) == {"Logs", "Role"}
        assert stack.outputs["Arn"].startswith("arn:aws:iam::123456789012:role/Small-Role-")


def test_only_one_stack_runs_in_a_process(assembly: Assembly) -> None:
    assembly.function("Fn", "handlers.echo")
    with _start(assembly), pytest.raises(LocalStackError, match="already"):
        _start(assembly)


def test_every_supported_type_of_the_template_can_be_created(assembly: Assembly) -> None:
    fn = assembly.function("Fn", "handlers.echo", ReservedConcurrentExecutions=2)
    assembly.add("Version", "AWS::Lambda::Version", FunctionName={"Ref": "Fn"})
    assembly.add(
        "Live",
        "AWS::Lambda::Alias",
        Name="live",
        FunctionName={"Ref": "Fn"},
        FunctionVersion=att("Version", "Version"),
    )
    assembly.add("Dead", "AWS::SQS::Queue", FifoQueue=True)
    assembly.add(
        "Invoke",
        "AWS::Lambda::EventInvokeConfig",
        FunctionName={"Ref": "Fn"},
        Qualifier="live",
        DestinationConfig={"OnFailure": {"Destination": att("Dead", "Arn")}},
    )
    key = {"AttributeName": "pk", "KeyType": "HASH"}
    sort = {"AttributeName": "sk", "KeyType": "RANGE"}
    assembly.add(
        "Global",
        "AWS::DynamoDB::GlobalTable",
        KeySchema=[key],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
        Replicas=[{"Region": "us-east-1", "PointInTimeRecoverySpecification": {}}],
        TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": True},
        StreamSpecification={"StreamViewType": "NEW_IMAGE"},
        GlobalSecondaryIndexes=[
            {"IndexName": "g", "KeySchema": [key, sort], "Projection": {"ProjectionType": "ALL"}}
        ],
    )
    assembly.add(
        "Bucket", "AWS::S3::Bucket", VersioningConfiguration={"Status": "Enabled"}, Tags=[]
    )
    assembly.add("Topic", "AWS::SNS::Topic", KmsMasterKeyId="alias/aws/sns")
    assembly.add(
        "Machine",
        "AWS::StepFunctions::StateMachine",
        RoleArn="arn:aws:iam::123456789012:role/any",
        DefinitionString='{"StartAt":"${First}","States":{"A":{"Type":"Pass","End":true}}}',
        DefinitionSubstitutions={"First": "A"},
    )
    arn = {"StateMachineArn": {"Ref": "Machine"}}
    assembly.add("MachineVersion", "AWS::StepFunctions::StateMachineVersion", **arn)
    route = {"StateMachineVersionArn": {"Ref": "MachineVersion"}, "Weight": 100}
    assembly.add(
        "MachineAlias",
        "AWS::StepFunctions::StateMachineAlias",
        Name="live",
        RoutingConfiguration=[route],
    )
    assembly.add("Key", "AWS::KMS::Key", KeyPolicy={})
    assembly.add("KeyAlias", "AWS::KMS::Alias", AliasName="alias/x", TargetKeyId=att("Key", "Arn"))
    assembly.add("Param", "AWS::SSM::Parameter", Name="/x", Type="String", Value="v")
    assembly.output("Alias", {"Ref": "Live"})
    assembly.output("MachineAlias", {"Ref": "MachineAlias"})
    assembly.output("Table", {"Ref": "Global"})
    assembly.output("Fn", fn)
    with _start(assembly) as stack:
        reply = stack.client("lambda").invoke(FunctionName=stack.outputs["Alias"])
        assert json.load(reply["Payload"])["AWS_LAMBDA_FUNCTION_VERSION"] == "1"
        started = stack.client("stepfunctions").start_execution(
            stateMachineArn=stack.outputs["MachineAlias"], name="one"
        )
        assert started["executionArn"].endswith(":one")
        ttl = stack.client("dynamodb").describe_time_to_live(TableName=stack.outputs["Table"])
        assert ttl["TimeToLiveDescription"]["AttributeName"] == "ttl"
        versioning = stack.client("s3").get_bucket_versioning(
            Bucket=stack.client("s3").list_buckets()["Buckets"][0]["Name"]
        )
        assert versioning["Status"] == "Enabled"


def test_unreachable_states_are_refused() -> None:
    states = {"A": {"Type": "Succeed"}, "B": {"Type": "Succeed"}}
    with pytest.raises(LocalStackError, match=r"unreachable states \['B'\]"):
        check_definition({"StartAt": "A", "States": states})


def test_a_nested_machine_is_checked_too() -> None:
    inner = {"StartAt": "X", "States": {"X": {"Type": "Pass"}}}
    outer = {
        "StartAt": "P",
        "States": {"P": {"Type": "Parallel", "Branches": [inner], "End": True}},
    }
    with pytest.raises(LocalStackError, match=r"\$\.P\.X: exactly one of Next and End"):
        check_definition(outer)
