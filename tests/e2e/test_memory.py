"""A stack whose agent remembers: what one task keeps another one recalls, and nobody else; once, whatever crashes."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from ratchet.testing.model_scenarios import SHIPPED
from ratchet.testing.model_server import ModelServer
from tests.e2e.agents_folder import bundle
from tests.e2e.conftest import SharedStage
from tests.e2e.stage import Json, Stage
from tests.e2e.test_command_line import command_of
from tests.e2e.wire import Call, Phase

pytestmark = pytest.mark.usefixtures("no_stage")

AGENT = """
from ratchet import Agent, Memory

KEEPER = Agent(name="keeper", instructions="Keep what people tell you.", policy="react",
               memory=Memory(read=("user", "tenant"), write=("user",)))
"""


def scenario(word: str, call: Json) -> Json:
    """This call, then an answer that quotes its result."""
    last = {"turn": 1, "content": "Over: {{excerpt}}"}
    return {"name": word, "match": {"goal": f"^{word}"}, "turns": [last, {"tool_calls": [call]}]}


SCENARIOS = [
    scenario("keep", {"name": "remember", "arguments": {"key": "diet", "text": "ann is vegan"}}),
    scenario("look", {"name": "recall", "arguments": {"query": "vegan policy"}}),
    scenario("drop", {"name": "forget", "arguments": {"key": "diet"}}),
]


@pytest.fixture(scope="module")
def keeper(shared_stage: SharedStage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    shared_stage.close()
    folder = tmp_path_factory.mktemp("keeper")
    scenarios = shutil.copytree(SHIPPED, folder / "scenarios")
    (scenarios / "a-keeper.yaml").write_text(yaml.safe_dump(SCENARIOS), encoding="utf-8")
    code = bundle(folder / "code", {"keeper": AGENT})
    with (
        ModelServer.start(scenarios) as models,
        Stage.start(folder, models) as stage,
    ):
        stage.local.reload(code)
        yield stage


def run(stage: Stage, goal: str, *, user: str | None = "ann") -> str:
    """The answer of a task of this user."""
    task = stage.outcome(stage.submit(goal, agent="keeper", user_id=user))
    assert task["status"] == "succeeded", task
    return str(task["result"])


def memory(client: httpx.Client, path: str) -> Json:
    return client.get(f"/v1/memory/{path}").raise_for_status().json()


def stored(stage: Stage) -> list[str]:
    """The keys of all items of any memory."""
    pages = stage.dynamodb.get_paginator("scan").paginate(
        TableName=stage.local.outputs["TableName"]
    )
    items = [item for page in pages for item in page["Items"]]
    return sorted(
        f"{item['pk']['S']} {item['sk']['S']}" for item in items if "#MEMORY#" in item["pk"]["S"]
    )


def writes_memory(call: Call) -> bool:
    """The transaction of a tool call that changes a memory."""
    return call.operation == "TransactWriteItems" and '"KEY#diet"' in call.body


def test_what_one_task_remembers_another_recalls_and_nobody_else(keeper: Stage) -> None:
    assert "remembered under 'diet'" in run(keeper, "keep one")
    assert "ann is vegan" in run(keeper, "look one")
    assert "ann is vegan" not in run(keeper, "look bob", user="bob")
    assert "for no user" not in run(keeper, "look nobody", user=None)
    body = {"goal": "look elsewhere", "agent": "keeper", "user_id": "ann"}
    other = keeper.other_tenant.post("/v1/tasks", json=body, params={"wait": 25}).json()
    assert other["status"] == "succeeded"
    assert "ann is vegan" not in json.dumps(other)

    (found,) = memory(keeper.http, "user:ann")["memories"]
    assert (found["value"], found["version"], found["source"]["agent"]) == (
        *("ann is vegan", 1),
        "keeper",
    )
    assert memory(keeper.http, "user:ann?query=VEGAN")["memories"] == [found]
    assert memory(keeper.other_tenant, "user:ann")["memories"] == []
    assert keeper.other_tenant.get("/v1/memory/user:ann/diet").status_code == 404
    assert keeper.stranger.get("/v1/memory/user:ann/diet").status_code == 401
    assert "forgot 'diet'" in run(keeper, "drop one")
    assert "ann is vegan" not in run(keeper, "look again")
    assert stored(keeper) == []


def test_what_an_admin_shares_every_user_is_told_and_it_is_replaced_by_its_tag(
    keeper: Stage,
) -> None:
    path = "/v1/memory/tenant/policy"
    first = keeper.http.put(path, json={"value": "policy: no refunds", "ttl_seconds": 3600})
    assert first.status_code == 200
    tag = first.headers["etag"]
    for user in ("ann", "bob", None):
        assert "no refunds" in run(keeper, f"look policy {user}", user=user)
    new = {"value": {"policy": "refunds"}}
    assert keeper.http.put(path, json=new, headers={"If-Match": tag}).status_code == 200
    stale = keeper.http.put(path, json=new, headers={"If-Match": tag})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert keeper.http.delete("/v1/memory/tenant").json()["deleted_memories"] == 1
    assert stored(keeper) == []


@pytest.mark.parametrize("phase", list(Phase))
def test_a_sandbox_that_dies_while_it_remembers_does_so_once(keeper: Stage, phase: Phase) -> None:
    goal = f"keep {phase.name}"
    with keeper.wire.hold(writes_memory, phase, only_first=True) as gate:
        task_id = keeper.submit(goal, agent="keeper", user_id="ann")
        gate.wait_reached()
        keeper.kill("StepExecutor")
        gate.open()
        task = keeper.outcome(task_id)
    assert task["status"] == "succeeded"
    (found,) = memory(keeper.http, "user:ann")["memories"]
    assert (found["version"], found["source"]["task_id"]) == (1, task_id)
    assert keeper.http.delete("/v1/memory/user:ann").json()["deleted_memories"] == 1
    assert stored(keeper) == []


def test_what_was_deleted_while_a_sandbox_was_dying_does_not_come_back(keeper: Stage) -> None:
    with keeper.wire.hold(writes_memory, Phase.REPLY, only_first=True) as gate:
        task_id = keeper.submit("keep deleted", agent="keeper", user_id="ann")
        gate.wait_reached()
        keeper.kill("StepExecutor")
        assert keeper.http.delete("/v1/memory/user:ann/diet").status_code == 200
        gate.open()
        task = keeper.outcome(task_id)
    assert "remembered under 'diet'" in task["result"], "so it was, before somebody deleted it"
    assert memory(keeper.http, "user:ann")["memories"] == []
    assert stored(keeper) == []


def test_the_command_line_reads_writes_and_deletes_it(keeper: Stage, tmp_path: Path) -> None:
    ratchet = command_of(keeper, tmp_path)
    assert ratchet("memory", "put", "user:a/b", "diet", "vegan", "--days", "1").returncode == 0
    assert ratchet("memory", "get", "user:a/b", "diet").stdout == "vegan\n"
    listed = json.loads(ratchet("memory", "list", "user:a/b", "--query", "VEG", "--json").stdout)
    assert [m["key"] for m in listed["memories"]] == ["diet"]
    task_id = keeper.submit("look line", agent="keeper", user_id="a/b", session_id="line")
    keeper.outcome(task_id)
    keeper.announced(task_id)
    sessions = json.loads(ratchet("sessions", "list", "--json").stdout)["sessions"]
    assert [s["session_id"] for s in sessions] == ["line"]
    shown = json.loads(ratchet("sessions", "show", "line", "--json").stdout)
    assert shown["history_task_ids"] == [task_id]
    gone = json.loads(ratchet("memory", "delete", "user:a/b", "--all", "--tasks", "--json").stdout)
    assert (gone["deleted_memories"], gone["deleted_task_ids"]) == (1, [task_id])
    assert ratchet("sessions", "show", "line").returncode == 1
    left = [item for item in keeper.items(task_id).values() if {"body", "body_ref"} & set(item)]
    assert (left, keeper.objects(task_id), stored(keeper)) == ([], [], [])
