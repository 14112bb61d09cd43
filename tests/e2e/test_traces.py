"""A stack that tells an OTLP backend what its tasks do: one trace for each, over real HTTP, and no word of anybody."""

import json
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
from ratchet.testing.receiver import Answer, WebhookReceiver
from tests.canaries import INPUTS, canary, leaks
from tests.e2e.agents_folder import bundle
from tests.e2e.conftest import SharedStage
from tests.e2e.stage import STEP_TIMEOUT_SECONDS, Json, Stage
from tests.e2e.test_approvals import AGENT, SCENARIOS
from tests.e2e.waiting import wait_until
from tests.spans import OtlpReceiver, attributes

pytestmark = pytest.mark.usefixtures("no_stage")


SECRETS = ("provider_key", "webhook_secret", "otlp_key")
SPEAKING = AGENT.replace(
    'f"paid back {amount}"', f'f"paid back {{amount}} {canary("tool_result")}"'
)
WORDS: Json = {
    "name": "words",
    "match": {"goal": "^words"},
    "turns": [
        {"turn": 1, "content": canary("model_output")},
        {
            "content": canary("model_output"),
            "tool_calls": [
                {
                    "name": "pay_back",
                    "arguments": {"order": canary("tool_argument"), "amount": 312.4},
                }
            ],
        },
    ],
}


@dataclass
class Traced:
    stage: Stage
    backend: OtlpReceiver
    logs: list[str]

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
    (scenarios / "a-cashier.yaml").write_text(yaml.safe_dump([WORDS, *SCENARIOS]), encoding="utf-8")
    code = bundle(folder / "code", {"cashier": SPEAKING})
    with OtlpReceiver() as backend, ModelServer.start(scenarios) as models:
        context = {
            "step_timeout_seconds": str(STEP_TIMEOUT_SECONDS),
            "otlp_endpoint": backend.endpoint,
        }
        logs: list[str] = []
        with Stage.start(
            folder,
            models,
            context=context,
            model_api_key=canary("provider_key"),
            on_log=lambda function, line: logs.append(f"{function} {line}"),
        ) as stage:
            secrets = stage.local.client("secretsmanager")
            for output, text in (
                ("OtlpHeadersSecretArn", f"x-key={canary('otlp_key')}%20eu"),
                ("WebhookSecretArn", canary("webhook_secret")),
            ):
                arn = stage.local.outputs[output]
                secrets.put_secret_value(SecretId=arn, SecretString=text)
            stage.local.reload(code)
            yield Traced(stage, backend, logs)


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
    assert {h["x-key"] for h in traced.backend.headers} == {f"{canary('otlp_key')} eu"}


def words(stage: Stage, goal: str, receiver: WebhookReceiver) -> str:
    """A task with a word in all that its caller can say."""
    return stage.submit(
        f"{goal} {canary('goal')}",
        agent="cashier",
        user_id=canary("user_id"),
        session_id=f"{canary('session_id')}-{goal}",
        metadata={canary("metadata_key"): canary("metadata")},
        webhook={"url": f"{receiver.url}/{canary('webhook_path')}"},
    )


def test_no_word_and_no_secret_is_in_logs_metrics_traces_histories_and_errors(
    traced: Traced, receiver: WebhookReceiver
) -> None:
    stage = traced.stage
    said = canary("receiver_answer").encode()
    receiver.answer_with(*[Answer(500, body=said)] * 2)
    stage.inject(status=401, goal=re.compile("words-fail"))
    edited = words(stage, "words-edited", receiver)
    (asked,) = stage.asks(edited)
    path = f"/v1/tasks/{edited}/interrupts/{asked['id']}"
    arguments = {"order": canary("edited_argument"), "amount": 150.0}
    reason = canary("approval_reason")
    decision = {"decision": "edit", "arguments": arguments, "reason": reason}
    assert stage.http.post(path, json=decision).status_code == 200
    failed = words(stage, "words-fail", receiver)
    cancelled = words(stage, "words-cancelled", receiver)
    stage.asks(cancelled)
    assert stage.http.post(f"/v1/tasks/{cancelled}/cancel").status_code == 200
    ends = {id_: stage.outcome(id_)["status"] for id_ in (edited, failed, cancelled)}
    assert list(ends.values()) == ["succeeded", "failed", "cancelled"]
    for task_id in ends:
        traced.trace(task_id)
    receiver.wait_for(3, timeout=60)
    errors = [
        stage.http.post(path, json={"decision": "approve"}),
        stage.http.post(f"/v1/tasks/{edited}/cancel"),
        stage.other_tenant.get(f"/v1/tasks/{edited}"),
        stage.http.post(f"/v1/tasks/{edited}/fork", json={"step": 99}),
    ]
    assert all(e.status_code >= 400 for e in errors)
    names = [*INPUTS, *SECRETS]
    histories = [
        json.dumps([stage.history(id_, n + 1), stage.execution(id_, n + 1)], default=str)
        for id_ in ends
        for n in range(len(stage.executions(id_)))
    ]
    places = {
        "logs and metrics": "\n".join(traced.logs),
        "traces": b"".join(traced.backend.bodies).decode(),
        "histories": "\n".join(histories),
        "errors": "\n".join(e.text for e in errors),
    }
    assert "DeliveriesFailed" in places["logs and metrics"]
    assert "execute_tool pay_back" in places["traces"]
    assert len(histories) == 4
    assert {place: leaks(text, names) for place, text in places.items()} == {
        place: [] for place in places
    }
    # They were all there: what is stored, what was sent to models and receivers, and the headers of both.
    kept = [repr(stage.items(id_)) + stage.http.get(f"/v1/tasks/{id_}/steps").text for id_ in ends]
    kept += [stage.http.get(f"/v1/tasks/{id_}").text for id_ in ends]
    kept += [stage.http.get(f"/v1/tasks/{id_}/deliveries").text for id_ in ends]
    kept += [repr(r.body) + r.path for r in receiver.requests]
    kept += [repr(r) for r in stage.asked("words")]
    given = set(leaks("".join(kept), names))
    assert given >= {
        *("goal", "metadata_key", "metadata", "session_id", "user_id", "model_output"),
        *("tool_argument", "tool_result", "edited_argument", "approval_reason", "webhook_path"),
    }


def test_tasks_go_on_while_the_backend_takes_nothing(traced: Traced) -> None:
    traced.backend.status = 503
    try:  # the last of this file: sandboxes leave the backend alone for a minute from here on
        task_id = traced.stage.submit("small: give it back", agent="cashier")
        assert traced.stage.outcome(task_id)["status"] == "succeeded"
    finally:
        traced.backend.status = 200
