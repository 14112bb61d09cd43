"""Who may call the API, and what each function is told and allowed."""

import json
from dataclasses import fields
from typing import Any

import pytest

from functions.api.application import openapi_document
from ratchet.contracts.access import LINK_ROUTES, ROUTE_SCOPES, Identity
from ratchet.contracts.limits import LINK_BURST, LINK_RATE
from ratchet.contracts.providers import Providers
from ratchet.contracts.settings import (
    NO_PROVIDERS,
    ApiSettings,
    AuthorizerSettings,
    DelivererSettings,
    DispatcherSettings,
    SchedulerSettings,
    Settings,
    StepExecutorSettings,
)
from tests.infra.template import Synthesized

PLAIN_SETTINGS = {
    "RATCHET_DEFAULT_AGENT",
    "RATCHET_IDENTITY",
    "RATCHET_DECISION_LINKS",
    "RATCHET_DECISION_LINKS_URL",
    "RATCHET_TENANT_RATE",
    "RATCHET_TENANT_BURST",
    "RATCHET_ORIGIN_SECRET_ARN",  # empty without a web front
    "RATCHET_PROVIDERS",
    "RATCHET_TENANT_CAPS",
    "RATCHET_STEP_EXECUTOR_MEMORY_MB",
    "RATCHET_ARCHITECTURE",
    "RATCHET_TENANT_RUNNING_TASKS",
    "RATCHET_MIN_RUNNING_TASKS",
    "RATCHET_MAX_RUNNING_TASKS",
    "RATCHET_OTLP_ENDPOINT",
    "RATCHET_OTLP_HEADERS_SECRET_ARN",  # none without an endpoint
}
POWERTOOLS = {
    "POWERTOOLS_SERVICE_NAME",
    "POWERTOOLS_LOG_LEVEL",
    "POWERTOOLS_METRICS_NAMESPACE",
}
GIVEN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:given-AbCdEf"
OPEN = {"$default", "GET /v1/health", "GET /v1/openapi.json"}
PROTECTED = set(ROUTE_SCOPES) - OPEN


def routes(template: Synthesized) -> dict[str, str]:
    found = template.of_type("AWS::ApiGatewayV2::Route").values()
    return {route["RouteKey"]: route["AuthorizationType"] for route in found}


LINKS = dict.fromkeys(LINK_ROUTES, "NONE")


def test_all_routes_but_three_ask_for_an_api_key(keyed: Synthesized) -> None:
    assert routes(keyed) == dict.fromkeys(PROTECTED, "CUSTOM") | dict.fromkeys(OPEN, "NONE")


def test_the_gateway_knows_every_route_that_the_api_answers(default: Synthesized) -> None:
    # One that it does not know falls to $default, which verifies nobody: it would answer 401 to all.
    paths = json.loads(openapi_document())["paths"]
    published = {f"{verb.upper()} {path}" for path, verbs in paths.items() for verb in verbs}
    assert set(routes(default)) - {"$default", "GET /v1/openapi.json"} == published


def test_by_default_the_same_routes_ask_for_a_signature(
    default: Synthesized, other: Synthesized
) -> None:
    assert routes(default) == dict.fromkeys(PROTECTED, "AWS_IAM") | dict.fromkeys(OPEN, "NONE")
    assert routes(other) == routes(default) | LINKS
    assert "authorizer" not in other.functions()
    assert "ApiKeysSecretArn" not in other.document["Outputs"]


def test_with_tokens_the_gateway_itself_verifies_issuer_and_audience(tokens: Synthesized) -> None:
    expected = dict.fromkeys(PROTECTED, "JWT") | dict.fromkeys(OPEN, "NONE")
    assert routes(tokens) == expected | LINKS
    authorizer = tokens.only("AWS::ApiGatewayV2::Authorizer")
    assert authorizer["AuthorizerType"] == "JWT"
    assert authorizer["JwtConfiguration"] == {
        "Issuer": "https://id.example.com/pool",
        "Audience": ["ratchet", "ratchet-ci"],
    }
    assert authorizer["IdentitySource"] == ["$request.header.Authorization"]
    assert "authorizer" not in tokens.functions()
    assert "ApiKeysSecretArn" not in tokens.document["Outputs"]


def test_signed_links_are_routes_only_where_asked_for_and_have_a_throttle_of_their_own(
    default: Synthesized, keyed: Synthesized, tokens: Synthesized
) -> None:
    assert not set(routes(default)) & set(LINK_ROUTES)
    assert not set(routes(keyed)) & set(LINK_ROUTES)
    stage = tokens.only("AWS::ApiGatewayV2::Stage")
    limit = {"ThrottlingRateLimit": LINK_RATE, "ThrottlingBurstLimit": LINK_BURST}
    assert stage["RouteSettings"] == dict.fromkeys(LINK_ROUTES, limit)
    assert "RouteSettings" not in default.only("AWS::ApiGatewayV2::Stage")
    told = {
        name: function["Environment"]["Variables"] for name, function in tokens.functions().items()
    }
    assert told["api"]["RATCHET_DECISION_LINKS"] == "on"
    url = told["deliverer"]["RATCHET_DECISION_LINKS_URL"]
    assert url == tokens.document["Outputs"]["ApiUrl"]["Value"]
    of_default = default.functions()
    assert of_default["api"]["Environment"]["Variables"]["RATCHET_DECISION_LINKS"] == "off"
    plain = of_default["deliverer"]["Environment"]["Variables"]["RATCHET_DECISION_LINKS_URL"]
    assert plain == ""


def test_the_api_is_told_how_its_callers_are_identified(
    default: Synthesized, keyed: Synthesized, tokens: Synthesized
) -> None:
    told = [
        Identity.from_setting(s.functions()["api"]["Environment"]["Variables"]["RATCHET_IDENTITY"])
        for s in (default, keyed, tokens)
    ]
    assert [identity.auth for identity in told] == ["iam", "api_key", "jwt"]
    assert (told[2].jwt_issuer, told[2].jwt_tenant_claim) == ("https://id.example.com/pool", "org")


def test_a_tenants_rate_reaches_the_api(default: Synthesized, tokens: Synthesized) -> None:
    told = [s.functions()["api"]["Environment"]["Variables"] for s in (default, tokens)]
    assert [(t["RATCHET_TENANT_RATE"], t["RATCHET_TENANT_BURST"]) for t in told] == [
        ("0", "50"),
        ("5", "50"),
    ]


def test_the_authorizer_reads_api_keys_and_no_other_item(keyed: Synthesized) -> None:
    role = keyed.role_of("authorizer")
    (statement,) = (
        s
        for policy in keyed.of_type("AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Roles"]
        for s in policy["PolicyDocument"]["Statement"]
        if "dynamodb:GetItem" in s["Action"]
    )
    assert statement["Condition"] == {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["APIKEY#*", "TENANT#*#APIKEYS"]}
    }


def test_step_executor_deletes_memories_and_no_other_item(default: Synthesized) -> None:
    role = default.role_of("step_executor")
    (statement,) = (
        s
        for policy in default.of_type("AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Roles"]
        for s in policy["PolicyDocument"]["Statement"]
        if "dynamodb:DeleteItem" in s["Action"]
    )
    assert statement["Action"] == "dynamodb:DeleteItem"
    assert statement["Condition"] == {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["TENANT#*#MEMORY#*"]}
    }


def test_the_authorizer_is_asked_once_a_minute_for_a_key(keyed: Synthesized) -> None:
    authorizer = keyed.only("AWS::ApiGatewayV2::Authorizer")
    assert authorizer["AuthorizerType"] == "REQUEST"
    assert authorizer["AuthorizerPayloadFormatVersion"] == "2.0"
    assert authorizer["EnableSimpleResponses"] is True
    assert authorizer["IdentitySource"] == ["$request.header.x-api-key"]
    assert authorizer["AuthorizerResultTtlInSeconds"] == 60


TOLD = (
    *("requestId", "requestTime", "routeKey", "status", "responseLength", "responseLatency"),
    *("identity.sourceIp", "integrationErrorMessage", "authorizer.error"),
)


def test_the_stage_throttles_and_logs_no_content(default: Synthesized) -> None:
    stage = default.only("AWS::ApiGatewayV2::Stage")
    assert stage["DefaultRouteSettings"] == {
        "ThrottlingRateLimit": 50,
        "ThrottlingBurstLimit": 100,
    }
    logged = set(json.loads(stage["AccessLogSettings"]["Format"]))
    assert {"requestId", "route", "status"} <= logged
    assert not logged & {"headers", "query", "body", "path"}
    # The path of a signed link is what decides; its route is a pattern.
    told = set(json.loads(stage["AccessLogSettings"]["Format"]).values())
    assert told <= {f"$context.{name}" for name in TOLD}


@pytest.mark.parametrize(
    ("function", "settings"),
    [
        ("api", ApiSettings),
        ("authorizer", AuthorizerSettings),
        ("dispatcher", DispatcherSettings),
        ("scheduler", SchedulerSettings),
        ("step_executor", StepExecutorSettings),
        ("deliverer", DelivererSettings),
    ],
)
def test_a_function_is_told_what_its_settings_class_reads(
    keyed: Synthesized, function: str, settings: type[Settings]
) -> None:
    environment = keyed.functions()[function]["Environment"]["Variables"]
    read = {f"RATCHET_{field.name.upper()}" for field in fields(settings)}
    assert set(environment) == read | POWERTOOLS
    assert environment["POWERTOOLS_SERVICE_NAME"] == function


def test_values_of_the_environment_come_from_this_stack(default: Synthesized) -> None:
    for function in default.functions().values():
        variables = function["Environment"]["Variables"]
        plain = {name for name, value in variables.items() if isinstance(value, str)}
        assert plain <= POWERTOOLS | PLAIN_SETTINGS


@pytest.mark.parametrize(
    ("function", "service", "actions"),
    [
        (
            "api",
            "dynamodb",
            # The last three read and delete sessions and memories.
            {
                *("GetItem", "Query", "PutItem", "UpdateItem"),
                *("BatchGetItem", "BatchWriteItem", "DeleteItem"),
            },
        ),
        ("api", "s3", {"GetObject", "PutObject", "DeleteObject", "ListBucket"}),
        ("api", "states", {"StopExecution"}),
        ("api", "sqs", {"SendMessage", "GetQueueAttributes", "GetQueueUrl"}),
        ("api", "secretsmanager", {"GetSecretValue", "DescribeSecret"}),
        ("api", "scheduler", {"CreateSchedule", "DeleteSchedule"}),
        ("api", "iam", {"PassRole"}),
        ("scheduler", "scheduler", {"DeleteSchedule"}),
        ("scheduler", "iam", set()),
        ("scheduler", "dynamodb", {"GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem"}),
        ("scheduler", "s3", {"GetObject", "PutObject", "ListBucket"}),
        ("scheduler", "states", {"StopExecution"}),
        ("scheduler", "sqs", {"SendMessage", "GetQueueAttributes", "GetQueueUrl"}),
        ("scheduler", "secretsmanager", set()),
        ("authorizer", "dynamodb", {"GetItem"}),
        ("authorizer", "secretsmanager", {"GetSecretValue", "DescribeSecret"}),
        ("dispatcher", "dynamodb", {"GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem"}),
        ("dispatcher", "s3", {"GetObject", "PutObject", "ListBucket"}),
        ("dispatcher", "states", {"StartExecution", "DescribeExecution"}),
        ("dispatcher", "secretsmanager", set()),
        (
            "step_executor",
            "dynamodb",
            {
                *("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem"),
                *("ConditionCheckItem", "DeleteItem"),
            },
        ),
        ("step_executor", "s3", {"GetObject", "PutObject", "ListBucket"}),
        ("step_executor", "secretsmanager", {"GetSecretValue", "DescribeSecret"}),
        ("step_executor", "sqs", set()),
        (
            "deliverer",
            "dynamodb",
            {"GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem"},
        ),
        # It receives from the outbox and rings the inbox for those who take a slot that came free.
        (
            "deliverer",
            "sqs",
            {
                *("ReceiveMessage", "ChangeMessageVisibility", "DeleteMessage"),
                *("SendMessage", "GetQueueAttributes", "GetQueueUrl"),
            },
        ),
        ("deliverer", "sns", {"Publish"}),
        ("deliverer", "s3", {"GetObject", "ListBucket"}),
        (
            "sweeper",
            "dynamodb",
            {
                *("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem"),
                *("BatchWriteItem", "DeleteItem"),
            },
        ),
        ("sweeper", "s3", {"GetObject", "PutObject", "DeleteObject", "ListBucket"}),
        (
            "sweeper",
            "sqs",
            {
                *("ReceiveMessage", "ChangeMessageVisibility", "DeleteMessage"),
                *("SendMessage", "GetQueueAttributes", "GetQueueUrl"),
            },
        ),
        ("sweeper", "states", {"StartExecution", "DescribeExecution"}),
        ("sweeper", "secretsmanager", set()),
    ],
)
def test_a_function_may_do_this_and_no_more(
    keyed: Synthesized, function: str, service: str, actions: set[str]
) -> None:
    assert keyed.actions(function, service) == actions


@pytest.mark.parametrize(
    ("function", "secret"),
    [
        ("authorizer", "ApiKeys"),
        ("step_executor", "ModelKey"),
        ("deliverer", "WebhookSecret"),
        ("api", "WebhookSecret"),  # its root key signs cursors
    ],
)
def test_a_function_reads_only_its_own_secret(
    keyed: Synthesized, function: str, secret: str
) -> None:
    read = [
        resource["Ref"]
        for statement in keyed.statements(keyed.role_of(function))
        if "secretsmanager:GetSecretValue" in statement["Action"]
        for resource in statement["Resource"]
    ]
    assert len(read) == 1
    assert read[0].startswith(f"Secrets{secret}")


def test_without_deployments_nothing_is_made_for_them(keyed: Synthesized) -> None:
    told = keyed.functions()["step_executor"]["Environment"]["Variables"]["RATCHET_PROVIDERS"]
    assert told == NO_PROVIDERS
    assert len(keyed.of_type("AWS::SecretsManager::Secret")) == 3


def test_the_executor_is_told_of_the_deployments_with_the_arns_of_their_keys(
    other: Synthesized,
) -> None:
    told = other.functions()["step_executor"]["Environment"]["Variables"]["RATCHET_PROVIDERS"]
    text = "".join(
        part if isinstance(part, str) else f"arn:made:{part['Ref']}" for part in told["Fn::Join"][1]
    )
    deployments = Providers.from_setting(text).deployments
    assert [(d.name, d.model, d.rpm) for d in deployments] == [
        ("one", "big-model", 100),
        ("two", "big-model", None),
        ("three", "big-model", None),
    ]
    made, given, again = (str(d.secret_arn) for d in deployments)
    assert made.startswith("arn:made:ProviderKeys")
    assert given == again == GIVEN


def test_the_executor_may_read_exactly_the_keys_of_its_deployments(other: Synthesized) -> None:
    resources = [
        resource if isinstance(resource, str) else resource["Ref"].rstrip("0123456789ABCDEF")
        for statement in other.statements(other.role_of("step_executor"))
        if "secretsmanager:GetSecretValue" in statement["Action"]
        for resource in statement["Resource"]
    ]
    keys = [GIVEN, "ProviderKeysKeyone", "SecretsModelKey", "TracesHeaders"]
    assert sorted(resources) == sorted(keys)
    others = set(other.functions()) - {"step_executor"}
    for function in others:
        assert GIVEN not in json.dumps(other.statements(other.role_of(function)))


def test_the_secret_made_for_a_deployment_is_an_output(other: Synthesized) -> None:
    value = json.dumps(other.document["Outputs"]["ProviderKeySecretArns"]["Value"])
    assert "one=" in value
    assert "two=" not in value


def test_generated_secrets_have_the_form_that_their_readers_expect(keyed: Synthesized) -> None:
    generated = {
        name.removeprefix("Secrets")[:-8]: secret["GenerateSecretString"]
        for name, secret in keyed.of_type("AWS::SecretsManager::Secret").items()
    }
    plain = {"ExcludePunctuation": True, "PasswordLength": 40}
    template = {"SecretStringTemplate": '{"tenant":"default"}', "GenerateStringKey": "key"}
    assert generated == {"ModelKey": plain, "WebhookSecret": plain, "ApiKeys": plain | template}


def test_only_the_state_machine_runs_steps_and_rings_the_outbox(default: Synthesized) -> None:
    role = default.only("AWS::StepFunctions::StateMachine")["RoleArn"]["Fn::GetAtt"][0]
    actions = {a for s in default.statements(role) for a in s["Action"] if "logs:" not in a}
    assert actions == {"lambda:InvokeFunction", "sqs:SendMessage"}


def schedules_role(template: Synthesized) -> tuple[str, dict[str, Any]]:
    """The role that EventBridge Scheduler takes on, by its id."""
    (found,) = [
        (name, role)
        for name, role in template.of_type("AWS::IAM::Role").items()
        if "scheduler.amazonaws.com" in json.dumps(role["AssumeRolePolicyDocument"])
    ]
    return found


def test_schedules_may_call_one_function_and_leave_what_they_could_not(
    default: Synthesized, other: Synthesized
) -> None:
    for template in (default, other):
        name, role = schedules_role(template)
        (group,) = template.of_type("AWS::Scheduler::ScheduleGroup")
        (trusted,) = role["AssumeRolePolicyDocument"]["Statement"]
        source = trusted["Condition"]["StringEquals"]
        assert source["aws:SourceArn"] == {"Fn::GetAtt": [group, "Arn"]}
        assert source["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}
        allowed = {
            action: [r["Fn::GetAtt"][0].rstrip("0123456789ABCDEF") for r in s["Resource"]]
            for s in template.statements(name)
            for action in s["Action"]
            if not action.startswith("kms:")
        }
        assert allowed == {
            "lambda:InvokeFunction": ["SchedulerFunction"],
            "sqs:SendMessage": ["InboxDeadLetters"],
        }


def test_the_api_may_hand_that_role_to_eventbridge_scheduler_alone(default: Synthesized) -> None:
    name, _ = schedules_role(default)
    (statement,) = [
        s
        for policy in default.of_type("AWS::IAM::Policy").values()
        for s in policy["PolicyDocument"]["Statement"]
        if "iam:PassRole" in s["Action"]
    ]
    assert statement["Resource"] == {"Fn::GetAtt": [name, "Arn"]}
    service = {"iam:PassedToService": "scheduler.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": service}


def test_what_the_scheduler_fails_at_is_tried_again_and_then_a_dead_letter(
    default: Synthesized,
) -> None:
    config = default.only("AWS::Lambda::EventInvokeConfig")
    assert config["FunctionName"]["Ref"].startswith("SchedulerFunction")
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (2, 3_600)
    letters = config["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"][0]
    assert letters.startswith("InboxDeadLetters")
    told = default.functions()["api"]["Environment"]["Variables"]["RATCHET_DEAD_LETTERS_ARN"]
    assert told["Fn::GetAtt"][0] == letters
