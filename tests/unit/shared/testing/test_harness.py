"""An agent in the harness: every way to script its model, and the state machine's own ways."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ratchet.contracts.errors import ModelThrottled, ModelUnavailable, StoreUnavailable
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.priced_models import Price, PricedModel
from ratchet.contracts.routing import RoutingTable
from ratchet.domain.models import ModelCatalogue
from ratchet.domain.steps import End, StepRecord
from ratchet.domain.task import Task
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.answers import Answer
from ratchet.testing.chat import says
from ratchet.testing.deployment import SHIPPED_ROUTING
from ratchet.testing.harness import AgentHarness, ScriptExhausted, Settings, calls
from ratchet.testing.sandbox import watched_agent
from ratchet.testing.store import InMemoryCheckpoints
from tests.unit.shared.testing.shop import GOAL, Resolution, Shop, script

ROUTING = Path(__file__).parents[4] / "cdk" / "routing.yaml"


def test_a_script_runs_to_its_end_and_the_outcome_says_what_it_took() -> None:
    shop = Shop()
    outcome = AgentHarness(shop.agent(), script()).run(GOAL)
    assert outcome.status is TaskStatus.SUCCEEDED
    assert outcome.output == {"resolution": "refunded"}
    assert outcome.failure is None
    assert len(outcome.steps) == outcome.model_calls == 5
    assert outcome.usage.input_tokens == 500
    assert outcome.cost_microusd > 0
    assert sorted(use.tool for use in outcome.tool_calls) == ["charge", "look", "look", "refund"]
    assert shop.refunds == ["A-1"]


def test_every_run_is_a_task_of_its_own() -> None:
    shop = Shop()
    harness = AgentHarness(shop.agent(), _by_turn)
    first, second = harness.run(GOAL), harness.run(GOAL, user_id="u-7")
    assert first.output == second.output
    assert shop.users == {None, "u-7"}
    keys = {use.idempotency_key for run in (first, second) for use in run.tool_calls}
    assert len(keys) == len(first.tool_calls) * 2


def test_any_chat_model_will_do() -> None:
    class Model:
        def complete(self, call: ModelCall) -> ModelAnswer:
            return says('{"resolution": "nothing"}')

    outcome = AgentHarness(Shop().agent(policy="react"), Model()).run(GOAL)
    assert outcome.output == {"resolution": "nothing"}


@pytest.mark.parametrize("model", ["text", 7])
def test_what_is_no_model_is_refused(model: object) -> None:
    with pytest.raises(TypeError, match="list of answers"):
        AgentHarness(Shop().agent(), model)  # type: ignore[arg-type]


def test_a_script_that_is_too_short_fails_the_test_and_says_what_was_asked() -> None:
    with pytest.raises(
        ScriptExhausted,
        match=r"all 1 answers of the script are used, but gpt-4o-mini was asked again",
    ):
        AgentHarness(Shop().agent(), ["plan"]).run(GOAL)


def test_a_throttled_model_is_waited_for_without_waiting() -> None:
    answers = [ModelThrottled("slow down", 120), *script()]
    outcome = AgentHarness(Shop().agent(), answers).run(GOAL)
    assert outcome.status is TaskStatus.SUCCEEDED
    assert outcome.model_calls == 6


def test_a_model_that_stays_away_ends_the_task_after_the_patience() -> None:
    def down(call: ModelCall) -> Answer:
        return ModelUnavailable("down")

    outcome = AgentHarness(Shop().agent(), down, settings=Settings(patience_seconds=10)).run(GOAL)
    assert outcome.status is TaskStatus.FAILED
    assert outcome.failure is not None
    assert outcome.failure.code == "model_unavailable"


def test_a_failing_store_is_tried_again_and_the_same_prompt_gets_the_same_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures = [StoreUnavailable("throttled")]
    _before_commit(monkeypatch, lambda record: failures.pop() if failures else None)
    outcome = AgentHarness(Shop().agent(), script()).run(GOAL)
    assert outcome.status is TaskStatus.SUCCEEDED
    assert outcome.model_calls == 6
    assert [record.attempt for record in outcome.steps] == [1, 0, 0, 0, 0]


def test_a_step_that_cannot_run_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(record: StepRecord) -> Exception | None:
        return None if isinstance(record.next, End) else StoreUnavailable("throttled")

    _before_commit(monkeypatch, refuse)
    outcome = AgentHarness(Shop().agent(), script()).run(GOAL)
    assert outcome.failure is not None
    assert outcome.failure.code == "execution_failed"
    assert "StoreUnavailable: throttled" in outcome.failure.message


def test_an_error_that_retries_cannot_help_is_given_up_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(record: StepRecord) -> Exception | None:
        return None if isinstance(record.next, End) else ValueError("a bug")

    _before_commit(monkeypatch, fail)
    outcome = AgentHarness(Shop().agent(), script()).run(GOAL)
    assert outcome.failure is not None
    assert "ValueError: a bug" in outcome.failure.message
    assert outcome.model_calls == 1


def test_a_task_that_can_neither_run_nor_fail_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _before_commit(monkeypatch, lambda record: StoreUnavailable("gone"))
    with pytest.raises(AssertionError, match="can neither run nor fail"):
        AgentHarness(Shop().agent(), script()).run(GOAL)


def test_an_agent_that_never_ends_is_stopped_by_its_own_limits() -> None:
    agent = replace(Shop().agent(policy="react"), loop_guard=False)
    outcome = AgentHarness(agent, lambda call: calls("look", order_id="A-1")).run(GOAL)
    assert outcome.status is TaskStatus.BUDGET_EXCEEDED


def test_an_endless_wait_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratchet.testing.deployment.MAX_INVOCATIONS", 50)
    monkeypatch.setattr("ratchet.app.step_attempt.check_limits", lambda history, *, now_ms: None)
    harness = AgentHarness(Shop().agent(), lambda call: ModelThrottled("endless"))
    with pytest.raises(AssertionError, match="the task does not end: 50 invocations"):
        harness.run(GOAL)


def test_rolling_over_changes_nothing() -> None:
    calm = AgentHarness(Shop().agent(), script()).run(GOAL)
    rolled = AgentHarness(Shop().agent(), script(), settings=Settings(steps_per_execution=1))
    assert rolled.run(GOAL) == calm


def test_an_agent_can_be_tested_on_models_of_ones_own() -> None:
    house = PricedModel("house", Price(1000, 1000, 1000, 5000), 32_768, 4096)
    settings = Settings(RoutingTable(default=("house",)), models=ModelCatalogue([house]))
    outcome = AgentHarness(Shop().agent(), script(), settings=settings).run(GOAL)
    assert outcome.status == "succeeded"
    assert {step.result.model for step in outcome.steps} == {"house"}
    usage = outcome.usage
    assert outcome.cost_microusd == usage.input_tokens + 5 * usage.output_tokens


def test_the_routing_is_the_shipped_one() -> None:
    assert RoutingTable.load(ROUTING) == SHIPPED_ROUTING


def test_the_watched_agent_is_the_same_version() -> None:
    agent = Shop().agent()
    watched = watched_agent(agent, lambda tool, arguments, context: "")
    assert watched.version == agent.version
    assert watched.tool_schemas == agent.tool_schemas


def _by_turn(call: ModelCall) -> Answer:
    return script()[sum(m.role == "assistant" for m in call.prompt.messages)]


def _before_commit(monkeypatch: pytest.MonkeyPatch, fails: object) -> None:
    commit = InMemoryCheckpoints.commit

    def faulty(self: InMemoryCheckpoints, task: Task, record: StepRecord, **how: Any) -> StepRecord:
        error = fails(record)  # type: ignore[operator]
        if error is not None:
            raise error
        return commit(self, task, record, **how)

    monkeypatch.setattr(InMemoryCheckpoints, "commit", faulty)


def test_a_resolution_is_written_as_json() -> None:
    outcome = AgentHarness(Shop().agent(policy="react"), ["done", Resolution(resolution="x")])
    assert outcome.run(GOAL).output == {"resolution": "x"}
