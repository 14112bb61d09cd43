"""A stack with an agent of the tests' own: a task of 600 steps, and an agent that changes under its tasks."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest
import yaml

from ratchet.testing.model_scenarios import SHIPPED
from ratchet.testing.model_server import ModelServer
from tests.e2e.agents_folder import bundle
from tests.e2e.conftest import SharedStage
from tests.e2e.stage import Json, Stage
from tests.e2e.wire import Phase, puts_step

pytestmark = pytest.mark.usefixtures("no_stage")

PER_EXECUTION = 50
STEPS = 600
EXECUTIONS = STEPS // PER_EXECUTION
SHORT_STEPS = 60
AGENT = '''
from ratchet import Agent, Limits, tool

@tool(effect="read")
def tick(n: int) -> str:
    """Count."""
    return f"tick {n}"

MARATHON = Agent(
    name="marathon",
    instructions="Run. EDITION",
    tools=[tick],
    policy="react",
    limits=Limits(max_steps=700, max_cost_usd=50.0, max_tokens=100_000_000),
    loop_guard=False,
)
'''


def scenario(word: str, steps: int) -> Json:
    """Tool calls until the last step, which answers."""
    tick = {"name": "tick", "arguments": {"n": 1}}
    last = {"turn": steps - 1, "content": "There."}
    return {"name": word, "match": {"goal": word}, "turns": [last, {"tool_calls": [tick]}]}


@dataclass(frozen=True)
class Deployed:
    """A stack, and the code of its next deployment, in which the agent says something else."""

    stage: Stage
    next_code: dict[str, Path]


@pytest.fixture(scope="module")
def deployed(
    shared_stage: SharedStage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    shared_stage.close()
    folder = tmp_path_factory.mktemp("marathon")
    scenarios = shutil.copytree(SHIPPED, folder / "scenarios")
    scripted = [scenario("six-hundred", STEPS), scenario("sixty", SHORT_STEPS)]
    (scenarios / "a-marathon.yaml").write_text(yaml.safe_dump(scripted), encoding="utf-8")
    first, second = (
        bundle(folder / edition, {"marathon": AGENT.replace("EDITION", edition)})
        for edition in ("first", "second")
    )
    with (
        ModelServer.start(scenarios) as models,
        Stage.start(folder, models, steps_per_execution=PER_EXECUTION) as stage,
    ):
        stage.local.reload(first)
        yield Deployed(stage, second)


def version_of(stage: Stage) -> str:
    agents = stage.http.get("/v1/agents").raise_for_status().json()["agents"]
    return next(str(a["version"]) for a in agents if a["name"] == "marathon")


def machine_versions(stage: Stage, task_id: str) -> list[str]:
    """The version of the state machine that each execution of the task was started on."""
    inputs = [
        json.loads(stage.execution(task_id, n)["input"])["execution"]
        for n in range(1, len(stage.executions(task_id)) + 1)
    ]
    assert [i["first_step"] for i in inputs] == sorted(i["first_step"] for i in inputs)
    return [str(i["version"]) for i in inputs]


def test_six_hundred_steps_cross_twelve_executions(deployed: Deployed) -> None:
    stage = deployed.stage
    task_id = stage.submit("six-hundred: go on.", agent="marathon")
    for generation in range(1, EXECUTIONS + 1):
        assert stage.execution(task_id, generation)["status"] == "SUCCEEDED"
    task = stage.outcome(task_id)
    assert (task["status"], task["result"]) == ("succeeded", "There.")
    assert task["progress"] == {"steps": STEPS, "next_step": None}
    later = [f"{task_id}-g{n}" for n in range(2, EXECUTIONS + 1)]
    assert stage.executions(task_id) == [task_id, *later]
    assert len(set(machine_versions(stage, task_id))) == 1
    assert [s["number"] for s in stage.steps(task_id)] == list(range(1, STEPS + 1))
    assert stage.asked_per_turn("six-hundred") == Counter(range(STEPS))
    _assert_one_write_per_step(stage, task_id)
    _assert_linear_bytes(stage, task_id)
    assert len(stage.announced(task_id)) == 1


def _assert_one_write_per_step(stage: Stage, task_id: str) -> None:
    writes = [c for c in stage.wire.calls(about=task_id) if '"STEP#' in c.body]
    counted = Counter(c.operation for c in writes if c.operation != "Query")
    assert counted == {"PutItem": STEPS - 1, "TransactWriteItems": 1}


def _assert_linear_bytes(stage: Stage, task_id: str) -> None:
    """Late steps store no more than early ones, but for the digits of what they count.

    One that a busy machine has tried twice stores that, too, so it is medians that are compared.
    """
    items = stage.items(task_id)
    sizes = [len(items[key]["body"]["B"]) for key in sorted(stage.step_keys(task_id))]
    assert len(sizes) == STEPS
    early, late = sizes[1 : STEPS // 4], sizes[-STEPS // 4 : -1]
    assert median(late) <= median(early) + 40


def test_a_task_ends_with_the_agent_that_it_began_with_and_a_new_one_runs_the_next(
    deployed: Deployed,
) -> None:
    stage = deployed.stage
    old = version_of(stage)
    with stage.wire.hold(puts_step(3), Phase.REQUEST) as gate:
        task_id = stage.submit("sixty: go on.", agent="marathon")
        gate.wait_reached()
        stage.local.reload(deployed.next_code)
    new = version_of(stage)
    task = stage.outcome(task_id)
    assert (task["status"], task["agent_version"]) == ("succeeded", old)
    assert {s["agent_version"] for s in stage.steps(task_id)} == {old} != {new}
    (version,) = set(machine_versions(stage, task_id))
    assert len(stage.executions(task_id)) == 2
    assert _editions(stage, "sixty") == {"Run. first"}

    younger = stage.outcome(stage.submit("sixty, younger: go on.", agent="marathon"))
    assert (younger["status"], younger["agent_version"]) == ("succeeded", new)
    assert _editions(stage, "sixty, younger") == {"Run. second"}
    assert set(machine_versions(stage, str(younger["task_id"]))).isdisjoint({version})


def test_a_resumed_task_takes_the_mended_agent_when_it_is_asked_to(deployed: Deployed) -> None:
    stage = deployed.stage
    for turn in (2, 3):
        stage.inject(status=401, goal=re.compile("sixty, mended"), turn=turn)
    old = version_of(stage)
    task_id = stage.submit("sixty, mended: go on.", agent="marathon")
    assert stage.outcome(task_id)["error"]["code"] == "model_rejected"
    stage.local.reload(deployed.next_code)
    _resume(stage, task_id, {})
    assert stage.outcome(task_id)["error"]["code"] == "model_rejected"
    _resume(stage, task_id, {"upgrade": True})
    assert stage.outcome(task_id)["status"] == "succeeded"
    first, second, third, *_ = machine_versions(stage, task_id)
    assert first == second != third
    assert {s["agent_version"] for s in stage.steps(task_id)} <= {old, version_of(stage)}


def _resume(stage: Stage, task_id: str, body: Json) -> None:
    stage.announced(task_id)
    answer = stage.http.post(f"/v1/tasks/{task_id}/resume", json=body)
    assert answer.status_code == 200, answer.text


def _editions(stage: Stage, word: str) -> set[str]:
    """What the agent said to the model in the tasks whose goal begins with the word."""
    return {str(r.messages[0]["content"]) for r in stage.asked(f"{word}:")}
