"""Provisioned concurrency: none by default; with it in the context, of the version that new executions run."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.infra.template import Synthesized

TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"


def step_version(template: Synthesized) -> str:
    machine = template.only("AWS::StepFunctions::StateMachine")
    return str(machine["DefinitionSubstitutions"]["StepExecutorArn"]["Ref"])


def test_by_default_nothing_is_kept_warm_or_billed(default: Synthesized) -> None:
    assert default.of_type(TARGET) == {}
    assert "Provisioned" not in json.dumps(default.document)


def test_what_is_kept_warm_is_the_version_that_new_executions_run(warm: Synthesized) -> None:
    target = warm.only(TARGET)
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 20)
    parts = target["ResourceId"]["Fn::Join"][1]
    assert parts[-1] == {"Fn::GetAtt": [step_version(warm), "Version"]}
    role = json.dumps(target["RoleARN"])
    assert "AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency" in role


def test_alarms_on_the_backlog_move_it_up_above_ten_and_down_at_none(warm: Synthesized) -> None:
    alarms = warm.of_type("AWS::CloudWatch::Alarm").values()
    backlog = {
        a["ComparisonOperator"]: a["Threshold"] for a in alarms if a["MetricName"] == "Backlog"
    }
    assert backlog == {"LessThanOrEqualToThreshold": 0, "GreaterThanOrEqualToThreshold": 11}
    steps = [
        step["ScalingAdjustment"]
        for policy in warm.of_type("AWS::ApplicationAutoScaling::ScalingPolicy").values()
        for step in policy["StepScalingPolicyConfiguration"]["StepAdjustments"]
    ]
    assert sorted(steps) == [-20, 5, 20]


def test_a_version_that_is_replaced_is_not_kept_warm(warm: Synthesized) -> None:
    """It is retained for its executions, and would be billed for ever."""
    (cleanup,) = warm.of_type("Custom::AWS").values()
    deletion: Any = json.dumps(cleanup["Delete"])
    assert "DeleteProvisionedConcurrencyConfig" in deletion
    assert "PHYSICAL:RESOURCEID:" in deletion
    assert json.dumps({"Fn::GetAtt": [step_version(warm), "Version"]}) in json.dumps(
        cleanup["Create"]
    )


def test_cfn_lint_and_cdk_nag_find_nothing(warm: Synthesized) -> None:
    program = Path(sys.executable).with_name("cfn-lint")
    command = [str(program), "-i", "W3005", "-t", str(warm.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_limits_of_the_context_reach_those_who_admit(warm: Synthesized) -> None:
    for name in ("dispatcher", "deliverer", "sweeper"):
        told = warm.functions()[name]["Environment"]["Variables"]
        assert told["RATCHET_TENANT_RUNNING_TASKS"] == "5"
        assert (told["RATCHET_MIN_RUNNING_TASKS"], told["RATCHET_MAX_RUNNING_TASKS"]) == (
            "20",
            "900",
        )


def test_the_cdks_own_function_logs_where_a_retention_is_set(warm: Synthesized) -> None:
    groups = warm.of_type("AWS::Logs::LogGroup")
    functions = warm.of_type("AWS::Lambda::Function").values()
    assert len(functions) == len(groups) - 2  # the other two are the API's and the state machine's
    for function in functions:
        assert groups[function["LoggingConfig"]["LogGroup"]["Ref"]]["RetentionInDays"] == 30
