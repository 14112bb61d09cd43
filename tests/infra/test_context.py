"""What the context changes, and what the outputs tell."""

import subprocess
import sys
from pathlib import Path

import pytest

from cdk import synth
from cdk.bundling import ROOT
from cdk.components.asl import definition
from cdk.deployment import Deployment
from ratchet.app.deployed_models import DeployedModels
from ratchet.contracts.names import MODELS_FILE
from ratchet.contracts.routing import RoutingTable
from tests.infra.conftest import OUT, ROUTING
from tests.infra.template import Synthesized

OUTPUTS = {
    "ApiUrl",
    "TopicArn",
    "ScheduleGroupName",
    "StateMachineArn",
    "TableName",
    "PayloadBucketName",
    "QueueUrl",
    "OutboxQueueUrl",
    "ModelKeySecretArn",
    "ApiKeysSecretArn",
    "WebhookSecretArn",
    "FunctionNames",
}


def test_the_outputs_are_what_the_cli_reads(
    default: Synthesized, keyed: Synthesized, other: Synthesized
) -> None:
    assert set(default.document["Outputs"]) == OUTPUTS - {"ApiKeysSecretArn"}
    assert set(keyed.document["Outputs"]) == OUTPUTS
    assert set(other.document["Outputs"]) == (OUTPUTS - {"ApiKeysSecretArn"}) | {
        "ProviderKeySecretArns",
        "OtlpHeadersSecretArn",
    }


def test_the_state_machine_is_the_routing_table(default: Synthesized, other: Synthesized) -> None:
    standard = RoutingTable.load(ROOT / Deployment().routing)
    assert default.definition() == definition(standard, step_timeout_seconds=300)
    changed = RoutingTable.load(ROUTING)
    assert other.definition() == definition(changed, step_timeout_seconds=120)
    assert "planning complex: big-model" in other.definition()["States"]


def test_data_is_kept_unless_the_context_says_otherwise(
    default: Synthesized, other: Synthesized
) -> None:
    for kind in ("AWS::DynamoDB::Table", "AWS::S3::Bucket"):
        assert default.only(kind)["_"]["DeletionPolicy"] == "Retain"
        assert other.only(kind)["_"]["DeletionPolicy"] == "Delete"


def test_a_stage_and_a_log_level_reach_the_stack(other: Synthesized) -> None:
    assert other.path.name == "Ratchet-test.template.json"
    levels = {
        function["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"]
        for function in other.functions().values()
    }
    assert levels == {"DEBUG"}


def test_a_second_synthesis_of_the_same_inputs_runs_nothing(
    default: Synthesized, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synth, "_run_app", lambda *_: pytest.fail("the app ran again"))
    assert synth.synthesize({"nag": "true"}, OUT / "default") == default.out


def test_a_wrong_context_is_named_without_a_stack_trace() -> None:
    with pytest.raises(synth.SynthError) as failure:
        synth.synthesize({"log_retention_days": "8"}, OUT / "refused")
    assert str(failure.value).startswith("ValueError: log_retention_days=8: say one of 1, 3")


def test_a_route_to_a_model_without_a_price_is_not_synthesized() -> None:
    with pytest.raises(synth.SynthError) as failure:
        synth.synthesize({"routing": str(ROUTING)}, OUT / "refused")
    said = str(failure.value)
    assert said.startswith("UnpricedRoute: ")
    assert "other_routing.yaml: route 'planning simple' leads to model 'house-model'" in said
    assert "`ratchet prices house-model`" in said


def test_the_models_reach_the_functions_that_price_and_refuse(other: Synthesized) -> None:
    for name in ("api", "step_executor"):
        deployed = DeployedModels.load(other.code_of(name) / MODELS_FILE)
        assert deployed.catalogue.spec("big-model").price.cache_write == 3750
        assert {model for route in deployed.routes for model in route.models} == {
            "house-model",
            "big-model",
            "gpt-4o",
        }
        deployed.check()
    assert not (other.code_of("dispatcher") / MODELS_FILE).exists()


def test_a_wrong_list_of_providers_is_named_without_a_stack_trace(tmp_path: Path) -> None:
    file = tmp_path / "providers.yaml"
    file.write_text("deployments: [{name: a, model: gpt4o, base_url: 'https://a'}]")
    with pytest.raises(synth.SynthError) as failure:
        synth.synthesize({"providers": str(file)}, OUT / "refused")
    assert str(failure.value).startswith(
        "ValueError: deployment 'a' serves 'gpt4o', which no route names"
    )


def test_synthesizing_loads_no_aws_sdk_and_no_jsii_here() -> None:
    heavy = ("boto3", "botocore", "jsii", "aws_cdk", "requests", "urllib3")
    code = f"import sys, cdk.synth; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
