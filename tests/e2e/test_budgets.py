"""Budgets over HTTP, on a stack with agents of the tests' own: warnings, partial results, questions, loops."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator

import pytest
import yaml

from ratchet.testing.model_scenarios import SHIPPED
from ratchet.testing.model_server import ModelServer
from tests.e2e.agents_folder import bundle
from tests.e2e.conftest import SharedStage
from tests.e2e.stage import Json, Stage

pytestmark = pytest.mark.usefixtures("no_stage")

STEPS = 6
AGENTS = '''
from ratchet import Agent, Limits, tool

@tool(effect="read")
def tick(n: int) -> str:
    """Count."""
    return f"tick {n}"

SPENDER = Agent("spender", "Spend.", tools=[tick], policy="react", loop_guard=False)
ASKER = Agent(
    "asker",
    "Ask.",
    tools=[tick],
    policy="react",
    limits=Limits(max_steps=3),
    loop_guard=False,
    ask_over_budget=True,
)
CIRCLER = Agent("circler", "Go round.", tools=[tick], policy="react")
'''


def scenario(word: str, steps: int) -> Json:
    """Thoughts with tool calls until the last step, which answers."""
    tick = {"name": "tick", "arguments": {"n": 1}}
    last = {"turn": steps - 1, "content": "There."}
    thought = {"content": "So far so good.", "tool_calls": [tick]}
    return {"name": word, "match": {"goal": word}, "turns": [last, thought]}


@pytest.fixture(scope="module")
def budgets(shared_stage: SharedStage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    shared_stage.close()
    folder = tmp_path_factory.mktemp("budgets")
    scenarios = shutil.copytree(SHIPPED, folder / "scenarios")
    scripted = [scenario("endless", 1_000), scenario("six-steps", STEPS)]
    (scenarios / "a-budget.yaml").write_text(yaml.safe_dump(scripted), encoding="utf-8")
    code = bundle(folder / "code", {"budgets": AGENTS})
    with ModelServer.start(scenarios) as models, Stage.start(folder, models) as stage:
        stage.local.reload(code)
        yield stage


def bodies(stage: Stage, task_id: str) -> list[Json]:
    """What was announced: an event may arrive twice, with the same bytes, when two deliverers were at it."""
    return [json.loads(text) for text in {m["Body"] for m in stage.announced(task_id)}]


def test_a_task_that_has_spent_its_budget_gives_what_there_is_and_has_warned(
    budgets: Stage,
) -> None:
    task_id = budgets.submit("endless: spend.", agent="spender", limits={"max_cost_usd": 0.0008})
    task = budgets.outcome(task_id)
    assert (task["status"], task["error"]["code"]) == ("budget_exceeded", "max_cost_usd")
    assert task["result"] == {"partial": "So far so good."}
    assert task["cost_usd"] <= 0.0008
    said = bodies(budgets, task_id)
    warned = [body["data"]["percent"] for body in said if body["type"] == "budget.warning"]
    assert (
        100 in warned
    )  # on a slow machine a lost attempt may take what is left before half is spent
    assert max(Counter(warned).values()) == 1
    assert [b["type"] for b in said].count("task.budget_exceeded") == 1


@pytest.mark.parametrize(
    ("answer", "status"), [("raise", "succeeded"), ("finish", "budget_exceeded")]
)
def test_a_person_is_asked_before_a_task_ends_over_its_budget(
    budgets: Stage, answer: str, status: str
) -> None:
    task_id = budgets.submit(f"six-steps: {answer}.", agent="asker")
    (asked,) = budgets.asks(task_id)
    assert (asked["kind"], asked["choices"]) == ("budget", ["raise", "finish"])
    assert "Go on with max_steps=6" in asked["question"]
    assert budgets.answer(task_id, asked["id"], "happened").status_code == 400
    assert budgets.answer(task_id, asked["id"], answer).status_code == 200
    task = budgets.outcome(task_id)
    assert task["status"] == status
    assert task["result"] == ("There." if answer == "raise" else {"partial": "So far so good."})
    assert task["limits"]["max_steps"] == (6 if answer == "raise" else 3)


def test_a_task_that_goes_round_in_circles_is_ended(budgets: Stage) -> None:
    task = budgets.outcome(budgets.submit("endless: circles.", agent="circler"))
    assert (task["status"], task["error"]["code"]) == ("failed", "loop_detected")
    assert task["result"] == {"partial": "So far so good."}
    assert task["progress"]["steps"] == 5
