"""A model that misbehaves: what is waited for, repaired, or told to a person."""

import re
from collections import Counter

from ratchet.testing.model_faults import FaultKind
from tests.e2e.goals import RESEARCH_STEPS, research
from tests.e2e.stage import Stage


def test_a_refused_key_fails_the_task_and_says_what_to_do(stage: Stage) -> None:
    word = "model-key"
    stage.inject(status=401, goal=re.compile(word))
    task = stage.outcome(task_id := stage.submit(research(word)))
    assert (task["status"], task["error"]["code"]) == ("failed", "model_rejected")
    assert "127.0.0.1" in task["error"]["message"]
    assert "refused the API key" in task["error"]["message"]
    assert "put a valid key into the secret" in task["error"]["message"]
    assert len(stage.asked(word)) == 1, "a refused key is not tried again"
    (message,) = stage.announced(task_id)
    assert message["MessageAttributes"]["type"]["StringValue"] == "task.failed"
    assert stage.execution(task_id)["status"] == "SUCCEEDED", "a domain outcome is no failed run"


def test_a_rate_limit_is_waited_out_in_the_state_machine(stage: Stage) -> None:
    word = "model-limit"
    stage.inject(status=429, retry_after=1, goal=re.compile(word), step="planning")
    task = stage.outcome(task_id := stage.submit(research(word)))
    assert task["status"] == "succeeded"
    stage.execution(task_id)
    entered = stage.states(task_id)
    planning = "planning simple: o3-mini"
    assert entered[:6] == ["Route", planning, "Route", "Wait", "Go on", "Route"]
    assert Counter(entered)["Wait"] == 1
    assert len(stage.step_keys(task_id)) == RESEARCH_STEPS
    assert stage.asked_per_turn(word) == Counter(range(RESEARCH_STEPS)) + Counter([0])


def test_malformed_output_is_repaired_within_the_step(stage: Stage) -> None:
    word = "model-output"
    stage.inject(kind=FaultKind.MALFORMED_ARGUMENTS, goal=re.compile(word), step="act", index=0)
    stage.inject(kind=FaultKind.UNKNOWN_TOOL, goal=re.compile(word), step="act", index=1, times=2)
    stage.inject(kind=FaultKind.EMPTY, goal=re.compile(word), step="final")
    task = stage.outcome(task_id := stage.submit(research(word)))
    assert task["status"] == "succeeded"
    assert len(stage.step_keys(task_id)) == RESEARCH_STEPS
    reasons = {s["number"]: s["reason"] for s in stage.steps(task_id)}
    repaired = {2: "preferred; repair 1", 3: "preferred; repair 2", 7: "preferred; repair 1"}
    assert reasons == {**dict.fromkeys(range(1, RESEARCH_STEPS + 1), "preferred"), **repaired}
    spent = stage.asked(word)
    assert task["usage"]["output_tokens"] == sum(
        r.usage.completion_tokens for r in spent if r.usage is not None
    )


def test_output_that_stays_unusable_escalates_and_then_fails_the_task(stage: Stage) -> None:
    word = "model-hopeless"
    stage.inject(kind=FaultKind.UNKNOWN_TOOL, goal=re.compile(word), step="act", times=9)
    task = stage.outcome(task_id := stage.submit(research(word)))
    assert (task["status"], task["error"]["code"]) == ("failed", "model_output")
    assert "the tools are: search_documents, read_document" in task["error"]["message"]
    asked = [r.model for r in stage.asked(word)]
    assert asked == ["o3-mini", *["gpt-4o-mini"] * 3, "gpt-4o"]
    assert stage.steps(task_id)[-1]["reason"] == "preferred; escalated after unusable answers"


def test_a_declining_model_fails_the_task(stage: Stage) -> None:
    stage.inject(kind=FaultKind.REFUSAL, goal=re.compile("model-declines"))
    task = stage.outcome(stage.submit(research("model-declines")))
    assert (task["status"], task["error"]["code"]) == ("failed", "model_refused")


def test_a_budget_that_is_used_up_ends_the_task(stage: Stage) -> None:
    task = stage.outcome(stage.submit(research("model-budget"), limits={"max_steps": 3}))
    assert (task["status"], task["error"]["code"]) == ("budget_exceeded", "max_steps")
    assert len(stage.asked("model-budget")) == 3
