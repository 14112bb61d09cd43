"""A stack whose cheap model has two deployments: one is out, and the other allows few requests a minute."""

from collections import Counter
from pathlib import Path

import pytest

from ratchet.testing.model_faults import Fault
from ratchet.testing.model_server import ModelServer
from tests.e2e.goals import RESEARCH_STEPS, research
from tests.e2e.stage import STEP_TIMEOUT_SECONDS, Stage

pytestmark = pytest.mark.usefixtures("no_stage")

# The context names the assembly's folder: a path that stays the same leaves one folder behind, not one a run.
PROVIDERS = Path(__file__).parents[2] / ".build" / "e2e-providers.yaml"


def test_a_task_goes_on_elsewhere_and_waits_for_its_place_in_the_state_machine(
    tmp_path: Path,
) -> None:
    with ModelServer.start() as main, ModelServer.start() as out, ModelServer.start() as spare:
        out.inject(Fault(status=503, times=1_000))
        PROVIDERS.parent.mkdir(exist_ok=True)
        PROVIDERS.write_text(
            "deployments:\n"
            f"  - {{name: out, model: gpt-4o-mini, base_url: '{out.base_url}'}}\n"
            f"  - {{name: spare, model: gpt-4o-mini, base_url: '{spare.base_url}', weight: 0, rpm: 30}}\n",
            encoding="utf-8",
        )
        context = {"step_timeout_seconds": str(STEP_TIMEOUT_SECONDS), "providers": str(PROVIDERS)}
        with Stage.start(tmp_path, main, context=context) as stage:
            task = stage.outcome(task_id := stage.submit(research("deployments")))
            assert task["status"] == "succeeded"
            reasons = Counter(s["reason"] for s in stage.steps(task_id))
            cheap = reasons.pop("preferred; by spare instead of out")
            assert reasons == {"preferred": RESEARCH_STEPS - cheap}, "the other models have none"
            assert len(spare.requests()) == cheap, "nobody was sent there to be refused"
            stage.execution(task_id)
            waits = Counter(stage.states(task_id))["Wait"]
            assert 1 <= waits < 2 * cheap, "who waited came back with its place"
            line = stage.dynamodb.get_item(
                TableName=stage.local.outputs["TableName"],
                Key={"pk": {"S": "PROVIDER#spare#0"}, "sk": {"S": "LINE"}},
            )["Item"]
            assert set(line) == {"pk", "sk", "requests"}
            assert stage.local.outputs["ProviderKeySecretArns"].count("arn:") == 2
