"""A stack with an agent of the tests' own that allows cached answers."""

from collections.abc import Iterator

import pytest

from tests.e2e.agents_folder import bundle
from tests.e2e.conftest import SharedStage
from tests.e2e.goals import RESEARCH_STEPS, complex_research, research
from tests.e2e.stage import Stage

pytestmark = pytest.mark.usefixtures("no_stage")

AGENT = """
from dataclasses import replace

from agents.research import research
from ratchet import SemanticCache

FRUGAL = replace(research, name="frugal", cache_ttl_seconds=3600)
ALIKE = replace(research, name="alike", semantic_cache=SemanticCache(threshold=0.9))
"""


@pytest.fixture(scope="module")
def frugal(shared_stage: SharedStage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    shared_stage.close()
    folder = tmp_path_factory.mktemp("frugal")
    with Stage.start(folder) as stage:
        stage.local.reload(bundle(folder / "code", {"frugal": AGENT}))
        yield stage


def test_the_same_goal_again_asks_no_model_and_costs_nothing(frugal: Stage) -> None:
    goal = research("cached-again")
    first = frugal.outcome(frugal.submit(goal, agent="frugal"))
    again = frugal.outcome(task_id := frugal.submit(goal, agent="frugal"))
    assert (first["status"], again["status"]) == ("succeeded", "succeeded")
    assert again["result"] == first["result"]
    assert len(frugal.asked("cached-again")) == RESEARCH_STEPS
    assert first["cost_usd"] > 0
    assert (again["cost_usd"], set(again["usage"].values())) == (0, {0})
    timeline = frugal.http.get(f"/v1/tasks/{task_id}/steps").raise_for_status().json()
    assert timeline["cached_steps"] == RESEARCH_STEPS
    assert {step["reason"] for step in timeline["steps"]} == {"preferred; cached answer"}
    kept = cache_items(frugal)
    assert len(kept) == RESEARCH_STEPS
    assert all(key.startswith("TENANT#default#CACHE#") for key in kept)
    assert all("expires_at" in item for item in kept.values())


def test_another_tenant_pays_for_its_own_answers(frugal: Stage) -> None:
    goal = research("cached-apart")
    frugal.outcome(frugal.submit(goal, agent="frugal"))
    body = {"goal": goal, "agent": "frugal"}
    answer = frugal.other_tenant.post("/v1/tasks", json=body, params={"wait": 25}).json()
    assert answer["status"] == "succeeded"
    assert answer["cost_usd"] > 0
    assert len(frugal.asked("cached-apart")) == 2 * RESEARCH_STEPS


def test_an_agent_that_does_not_allow_it_asks_every_time(frugal: Stage) -> None:
    before = cache_items(frugal)
    for _ in range(2):
        frugal.outcome(frugal.submit(research("cached-never"), agent="research"))
    assert len(frugal.asked("cached-never")) == 2 * RESEARCH_STEPS
    assert cache_items(frugal) == before


def test_a_goal_like_an_earlier_one_is_answered_by_its_task(frugal: Stage) -> None:
    goal = research("meaning-again")
    first = frugal.outcome(source := frugal.submit(goal, agent="alike"))
    again = frugal.outcome(task_id := frugal.submit(f"{goal} Thank you.", agent="alike"))
    assert (first["status"], again["status"]) == ("succeeded", "succeeded")
    assert again["result"] == first["result"]
    assert len(frugal.asked("meaning-again")) == RESEARCH_STEPS
    (step,) = frugal.steps(task_id)
    assert (step["cached"], step["cached_from"]["task_id"]) == ("semantic", source)
    assert 0.9 <= step["cached_from"]["similarity"] < 1
    assert step["model"] == "text-embedding-3-small"
    assert again["cost_usd"] == step["cost_usd"] == 0.000_001
    assert (again["usage"]["input_tokens"] > 0, again["usage"]["output_tokens"]) == (True, 0)


def test_goals_that_are_not_alike_and_other_tenants_are_answered_anew(frugal: Stage) -> None:
    goal = research("meaning-apart")
    frugal.outcome(frugal.submit(goal, agent="alike"))
    frugal.outcome(other := frugal.submit(complex_research("meaning-other"), agent="alike"))
    frugal.outcome(number := frugal.submit(goal.replace("600", "900"), agent="alike"))
    for task_id in (other, number):
        assert {step["cached"] for step in frugal.steps(task_id)} == {None}
    body = {"goal": goal, "agent": "alike"}
    answer = frugal.other_tenant.post("/v1/tasks", json=body, params={"wait": 25}).json()
    assert answer["status"] == "succeeded"
    path = f"/v1/tasks/{answer['task_id']}/steps"
    timeline = frugal.other_tenant.get(path).raise_for_status().json()
    assert (timeline["cached_steps"], len(timeline["steps"])) == (0, RESEARCH_STEPS)
    assert "semantic cache" not in str(timeline)


def cache_items(stage: Stage) -> dict[str, dict[str, object]]:
    """What the cache holds, by partition."""
    table = stage.local.outputs["TableName"]
    pages = stage.dynamodb.get_paginator("scan").paginate(TableName=table)
    items = [item for page in pages for item in page["Items"]]
    return {i["pk"]["S"]: i for i in items if "#CACHE#" in i["pk"]["S"]}
