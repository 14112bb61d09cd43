"""What every deployment's template must hold (RELIABILITY 3b), whatever its context."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdk.bundling import FUNCTIONS, NOT_SHIPPED, runtime_version
from ratchet.capacity import estimate
from tests.infra.template import Resource, Synthesized

NAME_OF = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Scheduler::ScheduleGroup": "Name",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}


@pytest.fixture(params=["default", "other"])
def template(request: pytest.FixtureRequest) -> Synthesized:
    synthesized: Synthesized = request.getfixturevalue(request.param)
    return synthesized


def test_cfn_lint_finds_nothing(template: Synthesized) -> None:
    # W3005: the CDK writes DependsOn where a reference would do.
    program = Path(sys.executable).with_name("cfn-lint")
    command = [str(program), "-i", "W3005", "-t", str(template.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_cdk_nag_finds_nothing_that_is_not_acknowledged(template: Synthesized) -> None:
    report = json.loads((template.out / "validation-report.json").read_text(encoding="utf-8"))
    assert report["pluginReports"] == []


def test_nothing_has_a_physical_name(template: Synthesized) -> None:
    named = [
        logical_id
        for logical_id, resource in template.document["Resources"].items()
        if NAME_OF.get(resource["Type"]) in resource.get("Properties", {})
    ]
    assert named == []


def test_every_role_serves_one_resource(template: Synthesized) -> None:
    used = [resource["Role"]["Fn::GetAtt"][0] for resource in template.functions().values()] + [
        template.only("AWS::StepFunctions::StateMachine")["RoleArn"]["Fn::GetAtt"][0]
    ]
    used += [
        name for name in template.of_type("AWS::IAM::Role") if name.startswith("SchedulesRole")
    ]
    assert sorted(used) == sorted(template.of_type("AWS::IAM::Role"))


def test_roles_have_no_managed_policies(template: Synthesized) -> None:
    roles = template.of_type("AWS::IAM::Role").values()
    assert [role.get("ManagedPolicyArns", []) for role in roles] == [[]] * len(roles)


def wildcards(template: Synthesized) -> Iterator[tuple[str, str]]:
    for role in template.of_type("AWS::IAM::Role"):
        for statement in template.statements(role):
            for action in statement["Action"]:
                if "*" in action and not action.startswith("kms:"):
                    yield role, action
            for resource in statement["Resource"]:
                if "*" in json.dumps(resource):
                    yield from ((role, a.partition(":")[0]) for a in statement["Action"])


def test_wildcards_are_few_and_known(template: Synthesized) -> None:
    machine = template.only("AWS::StepFunctions::StateMachine")["RoleArn"]["Fn::GetAtt"][0]
    found = set(wildcards(template))
    allowed = {(machine, "logs"), (machine, "lambda")}  # every version of the step executor
    describe_or_stop = (
        "api",
        "dispatcher",
        "scheduler",
        "sweeper",
    )  # executions, which are named by task id
    allowed |= {(template.role_of(name), "states") for name in describe_or_stop}
    allowed |= {(template.role_of(name), "s3") for name in FUNCTIONS if name != "authorizer"}
    allowed |= {(template.role_of(name), "scheduler") for name in ("api", "scheduler")}  # one group
    if template.functions()["api"].get("TracingConfig") == {"Mode": "Active"}:
        everyone = {machine, *(template.role_of(name) for name in template.functions())}
        allowed |= {(role, "xray") for role in everyone}
    assert found == allowed


@pytest.mark.parametrize(
    ("policies", "kind", "property_"),
    [
        ("AWS::SQS::QueuePolicy", "AWS::SQS::Queue", "Queues"),
        ("AWS::SNS::TopicPolicy", "AWS::SNS::Topic", "Topics"),
        ("AWS::S3::BucketPolicy", "AWS::S3::Bucket", "Bucket"),
    ],
)
def test_nothing_is_reached_without_tls(
    template: Synthesized, policies: str, kind: str, property_: str
) -> None:
    covered = set()
    for policy in template.of_type(policies).values():
        for statement in policy["PolicyDocument"]["Statement"]:
            insecure = {"Bool": {"aws:SecureTransport": "false"}}
            if statement["Effect"] == "Deny" and statement["Condition"] == insecure:
                refs = policy[property_]
                covered |= {r["Ref"] for r in (refs if isinstance(refs, list) else [refs])}
    assert covered == set(template.of_type(kind))


def consumed(template: Synthesized) -> Iterator[tuple[Resource, Resource, Resource]]:
    queues = template.of_type("AWS::SQS::Queue")
    for mapping in template.of_type("AWS::Lambda::EventSourceMapping").values():
        queue = queues[mapping["EventSourceArn"]["Fn::GetAtt"][0]]
        function = template.functions()[template.function_name(mapping["FunctionName"]["Ref"])]
        yield queue, mapping, function


def test_both_queues_and_their_dead_letters_are_consumed(template: Synthesized) -> None:
    assert len(list(consumed(template))) == len(template.of_type("AWS::SQS::Queue")) == 4


def test_a_message_stays_hidden_for_six_times_its_consumers_timeout(template: Synthesized) -> None:
    for queue, _mapping, function in consumed(template):
        assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]


def test_a_queue_gives_up_late_and_into_dead_letters_of_its_own(template: Synthesized) -> None:
    queues = template.of_type("AWS::SQS::Queue")
    targets = []
    for queue, _mapping, function in consumed(template):
        if function["Handler"] == "functions.sweeper.handler.lambda_handler":
            continue  # it takes the dead letters themselves
        assert queue["RedrivePolicy"]["maxReceiveCount"] >= 5
        targets.append(queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0])
    assert len(set(targets)) == 2
    assert {queues[name]["MessageRetentionPeriod"] for name in targets} == {14 * 24 * 3600}


def test_dead_letters_have_a_consumer(template: Synthesized) -> None:
    queues = template.of_type("AWS::SQS::Queue")
    letters = [
        queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        for queue in queues.values()
        if "RedrivePolicy" in queue
    ]
    taken = [
        queue
        for queue, _mapping, function in consumed(template)
        if function["Handler"] == "functions.sweeper.handler.lambda_handler"
    ]
    assert taken == [queues[name] for name in letters]


def test_a_letter_that_kills_its_consumer_takes_no_other_with_it(template: Synthesized) -> None:
    for queue, mapping, _function in consumed(template):
        if "RedrivePolicy" not in queue:
            assert mapping["BatchSize"] == 1


def test_one_bad_message_does_not_bring_its_batch_back(template: Synthesized) -> None:
    for _queue, mapping, _function in consumed(template):
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["ScalingConfig"]["MaximumConcurrency"] >= 2


def test_receivers_that_hang_hold_up_nobody_elses_announcement(template: Synthesized) -> None:
    name = "functions.deliverer.handler.lambda_handler"
    (mapping,) = (m for _, m, f in consumed(template) if f["Handler"] == name)
    assert mapping["BatchSize"] == 1


def test_logs_are_kept_for_a_time_that_was_chosen(template: Synthesized) -> None:
    groups = template.of_type("AWS::Logs::LogGroup")
    assert {group["RetentionInDays"] for group in groups.values()} == {30}
    own = [f["LoggingConfig"]["LogGroup"]["Ref"] for f in template.functions().values()]
    assert len(set(own)) == len(own) == len(template.functions())


def test_execution_data_is_not_logged(template: Synthesized) -> None:
    logging = template.only("AWS::StepFunctions::StateMachine")["LoggingConfiguration"]
    assert (logging["IncludeExecutionData"], logging["Level"]) == (False, "ERROR")


def test_the_table_bills_per_request_and_can_be_restored(template: Synthesized) -> None:
    table = template.only("AWS::DynamoDB::Table")
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert "StreamSpecification" not in table


def test_the_indexes_are_the_ones_that_the_store_writes(template: Synthesized) -> None:
    indexes = template.only("AWS::DynamoDB::Table")["GlobalSecondaryIndexes"]
    keys = {i["IndexName"]: [k["AttributeName"] for k in i["KeySchema"]] for i in indexes}
    assert keys == {
        "by_tenant": ["tenant_key", "task_id"],
        "due": ["due", "due_at"],
        "waiting": ["waiting", "wait_rank"],
    }
    assert {i["IndexName"]: i["Projection"]["ProjectionType"] for i in indexes} == {
        "by_tenant": "INCLUDE",
        "due": "INCLUDE",
        "waiting": "KEYS_ONLY",
    }


def test_the_state_machine_rings_with_the_tenant_as_message_group(template: Synthesized) -> None:
    states = template.definition()["States"]
    for name in ("Announce", "Roll over"):
        assert states[name]["Parameters"]["MessageGroupId.$"] == "$.tenant"


def test_payloads_are_private_and_outlive_every_task(template: Synthesized) -> None:
    bucket = template.only("AWS::S3::Bucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 400
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_step_states_outlive_the_lambda(template: Synthesized) -> None:
    timeout = template.functions()["step_executor"]["Timeout"]
    states = template.definition()["States"].values()
    waits = {s["TimeoutSeconds"] for s in states if s.get("Resource") == "${StepExecutorArn}"}
    assert waits == {timeout + 30}


def test_the_definition_fills_in_every_name(template: Synthesized) -> None:
    machine = template.only("AWS::StepFunctions::StateMachine")
    assert set(machine["DefinitionSubstitutions"]) == {
        "StepExecutorArn",
        "InboxQueueUrl",
        "OutboxQueueUrl",
    }
    text = machine["DefinitionString"]
    assert text.count("${") == sum(
        text.count("${" + name + "}") for name in machine["DefinitionSubstitutions"]
    )


def test_executions_run_the_code_version_that_they_began_with(template: Synthesized) -> None:
    machine = template.only("AWS::StepFunctions::StateMachine")
    version = machine["DefinitionSubstitutions"]["StepExecutorArn"]["Ref"]
    resource = template.document["Resources"][version]
    assert resource["Type"] == "AWS::Lambda::Version"
    assert resource["DeletionPolicy"] == "Retain"


def test_each_deployment_publishes_a_version_of_the_machine_that_outlives_the_next_one(
    template: Synthesized,
) -> None:
    ((name, version),) = template.of_type("AWS::StepFunctions::StateMachineVersion").items()
    resource = template.document["Resources"][name]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")
    (machine,) = template.of_type("AWS::StepFunctions::StateMachine")
    assert version["StateMachineArn"] == {"Ref": machine}
    # Without it the version would be published once and then never again.
    revision = {"Fn::GetAtt": [machine, "StateMachineRevisionId"]}
    assert version["StateMachineRevisionId"] == revision


def test_who_starts_executions_knows_the_version_and_may_start_only_this_machine(
    template: Synthesized,
) -> None:
    (version,) = template.of_type("AWS::StepFunctions::StateMachineVersion")
    (machine,) = template.of_type("AWS::StepFunctions::StateMachine")
    for name, function in template.functions().items():
        allowed = [
            statement["Resource"]
            for statement in template.statements(template.role_of(name))
            if "states:StartExecution" in statement["Action"]
        ]
        told = function["Environment"]["Variables"].get("RATCHET_STATE_MACHINE_ARN")
        if name in ("dispatcher", "sweeper"):
            assert told == {"Fn::GetAtt": [version, "Arn"]}
            # To start a version, IAM is asked for the machine, not for the version:
            # https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html
            assert allowed == [[{"Ref": machine}]]
        else:
            assert allowed == []
            assert told in (None, {"Ref": machine})


def test_an_interpreter_accepts_the_definition(template: Synthesized) -> None:
    from moto.stepfunctions.parser.asl.parse.asl_parser import (  # noqa: PLC0415 - slow
        AmazonStateLanguageParser,
    )

    text = json.dumps(template.definition())
    text = text.replace("${StepExecutorArn}", "arn:aws:lambda:us-east-1:123456789012:function:f")
    program, _ = AmazonStateLanguageParser.parse(text)
    assert program is not None


def test_functions_run_what_was_staged_for_this_python(template: Synthesized) -> None:
    for name, function in template.functions().items():
        assert function["Handler"] == f"functions.{name}.handler.lambda_handler"
        assert function["Runtime"] == f"python{runtime_version()}"
        code = template.code_of(name)
        assert (code / "functions" / name / "handler.py").is_file()
        assert not NOT_SHIPPED & {path.name for path in (code / "ratchet").iterdir()}


def test_who_carries_which_layers(template: Synthesized) -> None:
    carried = {
        name: [layer["Ref"].partition("Layer")[0] for layer in function["Layers"]]
        for name, function in template.functions().items()
    }
    expected = {name: ["Base"] for name in template.functions()}
    expected |= {"step_executor": ["Base", "Llm"], "deliverer": ["Base", "Webhooks"]}
    assert carried == expected


def test_step_executor_stays_below_fifty_megabytes(template: Synthesized) -> None:
    layers = template.of_type("AWS::Lambda::LayerVersion")
    code = template.code_of("step_executor")
    archives = [
        template.asset(layer, "Content")
        for name, layer in layers.items()
        if not name.startswith("Webhooks")
    ]
    assert len(archives) == 2
    sizes = [path.stat().st_size for path in code.rglob("*") if path.is_file()]
    for archive in archives:
        with zipfile.ZipFile(archive) as packed:
            sizes += [file.file_size for file in packed.infolist()]
    assert 1_000_000 < sum(sizes) < 50_000_000


def test_there_are_alarms_for_what_should_never_happen(template: Synthesized) -> None:
    watched = sorted(a["MetricName"] for a in template.of_type("AWS::CloudWatch::Alarm").values())
    assert watched == [
        *["ApproximateNumberOfMessagesVisible"] * 2,
        "CachedShare",
        "DeliveriesDead",
        *["Errors"] * 2,
        "ExecutionsFailed",
        "RoutingOverrideRefused",
        "SweeperLag",
        "TasksPoisoned",
    ]


def test_the_estimate_of_an_idle_month_counts_what_is_deployed(default: Synthesized) -> None:
    assert len(default.of_type("AWS::SecretsManager::Secret")) == estimate.SECRETS
    assert len(default.of_type("AWS::CloudWatch::Alarm")) == estimate.ALARMS
    assert len(default.of_type("AWS::Lambda::EventSourceMapping")) == estimate.QUEUES
    assert not default.of_type("AWS::KMS::Key")


def test_settings_add_to_an_idle_month_what_the_estimate_says(
    tokens: Synthesized, warm: Synthesized
) -> None:
    for template, secrets, alarms in (
        (tokens, 1, 0),  # of the web front; X-Ray takes spans that are signed
        (warm, 2, estimate.WARM_ALARMS),  # and of the API keys
    ):
        assert len(template.of_type("AWS::SecretsManager::Secret")) == estimate.SECRETS + secrets
        assert len(template.of_type("AWS::CloudWatch::Alarm")) == estimate.ALARMS + alarms


def test_one_dead_delivery_is_an_alarm(template: Synthesized) -> None:
    (dead,) = [
        alarm
        for alarm in template.of_type("AWS::CloudWatch::Alarm").values()
        if alarm["MetricName"] == "DeliveriesDead"
    ]
    assert (dead["Threshold"], dead["Statistic"]) == (1, "Sum")
    assert dead["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    assert dead["Dimensions"] == [{"Name": "service", "Value": "deliverer"}]


def test_a_sweeper_that_has_stopped_is_an_alarm(template: Synthesized) -> None:
    (lag,) = [
        alarm
        for alarm in template.of_type("AWS::CloudWatch::Alarm").values()
        if alarm["MetricName"] == "SweeperLag"
    ]
    assert (lag["Threshold"], lag["TreatMissingData"]) == (300_000, "breaching")


def test_the_sweeper_runs_every_minute_and_when_an_execution_dies(template: Synthesized) -> None:
    rules = list(template.of_type("AWS::Events::Rule").values())
    assert [r["ScheduleExpression"] for r in rules if "ScheduleExpression" in r] == [
        "rate(1 minute)"
    ]
    (died,) = [r["EventPattern"] for r in rules if "EventPattern" in r]
    assert died["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]


def test_the_same_template_serves_another_model_endpoint(template: Synthesized) -> None:
    parameters = template.document["Parameters"]
    assert parameters["ModelBaseUrl"]["Default"] == "https://api.openai.com/v1"
    assert (
        parameters["ModelPatienceSeconds"]["Type"],
        parameters["ModelPatienceSeconds"]["Default"],
    ) == ("Number", 180)
