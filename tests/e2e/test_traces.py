"""A stack that tells an OTLP backend what its tasks do: one trace for each, over real HTTP."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from ratchet.contracts.messages import TaskRef
from ratchet.domain.spans import task_place
from ratchet.testing.model_scenarios import SHIPPED
from ratchet.testing.model_server import ModelServer
from tests.e2e.agents_folder import bundle
from tests.e2e.conftest import SharedStage
from tests.e2e.stage import STEP_TIMEOUT_SECONDS, Json, Stage
from tests.e2e.test_approvals import AGENT, SCENARIOS
from tests.e2e.waiting import wait_until
from tests.spans import OtlpReceiver, attributes

pytestmark = pytest.mark.usefixtures("no_stage")


@dataclass
class Traced:
    stage: Stage
    backend: OtlpReceiver

    def trace(self, task_id: str) -> dict[str, Json]:
        """The spans of an ended task by their ids, once its own has arrived."""
        place = task_place(TaskRef("default", task_id))

        def whole() -> list[Json]:
            spans = [s for s in self.backend.spans if s.trace_id.hex() == place.trace_id]
            return spans if any(s.span_id.hex() == place.span_id for s in spans) else []

        spans = wait_until(whole, f"the trace of {task_id}")
        return {span.span_id.hex(): span for span in spans}


@pytest.fixture(scope="module")
def traced(shared_stage: SharedStage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    shared_stage.close()
    folder = tmp_path_factory.mktemp("traces")
    scenarios = shutil.copytree(SHIPPED, folder / "scenarios")
    (scenarios / "a-cashier.yaml").write_text(yaml.safe_dump(SCENARIOS), encoding="utf-8")
    code = bundle(folder / "code", {"cashier": AGENT})
    with OtlpReceiver() as backend, ModelServer.start(scenarios) as models:
        context = {
            "step_timeout_seconds": str(STEP_TIMEOUT_SECONDS),
            "otlp_endpoint": backend.endpoint,
        }
        with Stage.start(folder, models, context=context) as stage:
            arn = stage.local.outputs["OtlpHeadersSecretArn"]
            secrets = stage.local.client("secretsmanager")
            secrets.put_secret_value(SecretId=arn, SecretString="x-team=payments%20eu")
            stage.local.reload(code)
            yield Traced(stage, backend)


def test_a_task_with_an_approval_and_a_retry_arrives_as_one_connected_trace(traced: Traced) -> None:
    stage = traced.stage
    stage.inject(status=429, retry_after=1, goal=re.compile("large"), times=1)
    task_id = stage.submit("large: give it back", agent="cashier")
    (asked,) = stage.asks(task_id)
    answer = stage.http.post(
        f"/v1/tasks/{task_id}/interrupts/{asked['id']}", json={"decision": "approve"}
    )
    assert answer.status_code == 200, answer.text
    assert stage.outcome(task_id)["status"] == "succeeded"
    spans = traced.trace(task_id)
    roots = [s for s in spans.values() if not s.parent_span_id]
    assert [s.name for s in roots] == ["invoke_agent cashier"]
    assert all(s.parent_span_id.hex() in spans for s in spans.values() if s.parent_span_id)
    names = [s.name.split()[0] for s in spans.values()]
    assert names.count("execute_tool") == 1
    assert names.count("chat") == len(stage.asked("large"))
    root = attributes(roots[0])
    assert root["ratchet.cost_usd"] == pytest.approx(stage.task(task_id)["cost_usd"])
    assert {h["x-team"] for h in traced.backend.headers} == {"payments eu"}


def test_tasks_go_on_while_the_backend_takes_nothing(traced: Traced) -> None:
    traced.backend.status = 503
    try:
        task_id = traced.stage.submit("small: give it back", agent="cashier")
        assert traced.stage.outcome(task_id)["status"] == "succeeded"
    finally:
        traced.backend.status = 200
