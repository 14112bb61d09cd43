"""A stack whose agent asks people: may it pay, and what colour. Nothing is paid that nobody let be paid."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ratchet.testing.model_scenarios import SHIPPED
from ratchet.testing.model_server import ModelServer
from tests.e2e.agents_folder import bundle
from tests.e2e.conftest import SharedStage
from tests.e2e.stage import STEP_TIMEOUT_SECONDS, Json, Stage
from tests.e2e.test_command_line import Command, command_of
from tests.e2e.waiting import wait_until

pytestmark = pytest.mark.usefixtures("no_stage")

AGENT = '''
import json, os
from ratchet import Agent, ToolContext, tool

@tool(effect="unsafe", approval=lambda order, amount: amount > 100)
def pay_back(order: str, amount: float, context: ToolContext) -> str:
    """Pay an order back."""
    with open(os.environ["RATCHET_EXAMPLE_LEDGER"], "a", encoding="utf-8") as ledger:
        entry = {"task_id": context.task_id, "order_id": order, "amount_usd": amount}
        ledger.write(json.dumps(entry) + "\\n")
    return f"paid back {amount}"

CASHIER = Agent(name="cashier", instructions="Pay back.", tools=[pay_back], policy="react", ask_human=True)
'''


def scenario(word: str, *calls: Json) -> Json:
    """These calls at once, then an answer that quotes the last result."""
    last = {"turn": 1, "content": "Over: {{excerpt}}"}
    return {
        "name": word,
        "match": {"goal": f"^{word}"},
        "turns": [last, {"tool_calls": list(calls)}],
    }


def pay(amount: float) -> Json:
    return {"name": "pay_back", "arguments": {"order": "A-1", "amount": amount}}


COLOUR = {
    "name": "ask_human",
    "arguments": {"question": "Which colour?", "choices": ["red", "blue"]},
}
SCENARIOS = [
    scenario("large", pay(312.4)),
    scenario("small", pay(20.0)),
    scenario("both", pay(150.0), pay(30.0), COLOUR),
    scenario("colour", COLOUR),
]


CONTEXT = {"step_timeout_seconds": str(STEP_TIMEOUT_SECONDS), "decision_links": "true"}


@pytest.fixture(scope="module")
def shop(shared_stage: SharedStage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    shared_stage.close()
    folder = tmp_path_factory.mktemp("cashier")
    scenarios = shutil.copytree(SHIPPED, folder / "scenarios")
    (scenarios / "a-cashier.yaml").write_text(yaml.safe_dump(SCENARIOS), encoding="utf-8")
    code = bundle(folder / "code", {"cashier": AGENT})
    with (
        ModelServer.start(scenarios) as models,
        Stage.start(folder, models, context=CONTEXT) as stage,
    ):
        stage.local.reload(code)
        yield stage


@pytest.fixture
def cashier(shop: Stage, tmp_path: Path) -> Command:
    return command_of(shop, tmp_path)


def decide(stage: Stage, asked: Json, **body: Json) -> tuple[int, Json]:
    path = f"/v1/tasks/{asked['task_id']}/interrupts/{asked['id']}"
    answer = stage.http.post(path, json=body)
    return answer.status_code, answer.json()


def paid(stage: Stage, task_id: str) -> list[float]:
    return [e["amount_usd"] for e in stage.refunds() if e["task_id"] == task_id]


def test_an_approved_payment_is_made_once_by_a_second_execution(shop: Stage) -> None:
    task_id = shop.submit("large one", agent="cashier")
    (asked,) = shop.asks(task_id)
    assert (asked["kind"], asked["tool"]) == ("approval", "pay_back")
    assert asked["arguments"] == {"order": "A-1", "amount": 312.4}
    assert shop.execution(task_id)["status"] == "SUCCEEDED", "nothing waits"
    assert paid(shop, task_id) == []
    assert decide(shop, asked, decision="approve")[0] == 200
    task = shop.outcome(task_id)
    assert (task["status"], task["result"]) == ("succeeded", "Over: paid back 312.4")
    assert paid(shop, task_id) == [312.4]
    assert decide(shop, asked, decision="approve")[0] == 200
    status, problem = decide(shop, asked, decision="reject")
    assert (status, problem["code"]) == (409, "already_decided")
    assert paid(shop, task_id) == [312.4]
    assert shop.executions(task_id) == [task_id, f"{task_id}-g2"]
    assert shop.asked_per_turn("large one") == {0: 1, 1: 1}
    timeline = shop.http.get(f"/v1/tasks/{task_id}/steps").json()
    assert [d["answer"] for d in timeline["decisions"]] == ["approve"]
    assert timeline["decisions"][0]["decided_by"] == "key:default"
    assert [s["purpose"] for s in timeline["steps"]] == ["work", "calls", "work"]


def links_of(stage: Stage, task_id: str) -> dict[str, str]:
    """The links that were announced with the task's question."""

    def told() -> Json:
        events = stage.heard(task_id)
        return next((e for e in events if e["type"] == "interrupt.requested"), None)

    (asked,) = wait_until(told, f"the question of {task_id}")["data"]["interrupts"]
    links: dict[str, str] = asked["links"]
    return links


def test_a_payment_is_approved_by_a_click_and_not_by_what_follows_links(shop: Stage) -> None:
    task_id = shop.submit("large five", agent="cashier")
    links = links_of(shop, task_id)
    assert set(links) == {"approve", "reject"}
    assert all(url.startswith(str(shop.stranger.base_url)) for url in links.values())
    for url in [*links.values()] * 2:
        seen = shop.stranger.get(url)
        assert (seen.status_code, "312.4" in seen.text) == (200, True)
        assert seen.headers["referrer-policy"] == "no-referrer"
    assert shop.task(task_id)["status"] == "input_required"
    assert paid(shop, task_id) == []
    assert shop.stranger.post(links["approve"]).status_code == 400
    assert shop.stranger.post(links["approve"][:-1], data={"confirm": "yes"}).status_code == 404
    assert shop.task(task_id)["status"] == "input_required"
    pressed = shop.stranger.post(links["approve"], data={"confirm": "yes"})
    assert (pressed.status_code, "<strong>approve</strong>" in pressed.text) == (200, True)
    assert shop.outcome(task_id)["status"] == "succeeded"
    assert paid(shop, task_id) == [312.4]
    late = shop.stranger.post(links["reject"], data={"confirm": "yes"})
    assert (late.status_code, "<strong>approve</strong>" in late.text) == (200, True)
    timeline = shop.http.get(f"/v1/tasks/{task_id}/steps").json()
    assert [(d["answer"], d["decided_by"]) for d in timeline["decisions"]] == [("approve", "link")]


def test_a_rejected_payment_is_not_made_and_the_agent_says_why(shop: Stage) -> None:
    task_id = shop.submit("large two", agent="cashier")
    (asked,) = shop.asks(task_id)
    decide(shop, asked, decision="reject", reason="not ours")
    task = shop.outcome(task_id)
    assert task["status"] == "succeeded"
    assert "a person refused this call: not ours" in task["result"]
    assert paid(shop, task_id) == []


def test_an_edited_payment_is_made_as_edited(shop: Stage) -> None:
    task_id = shop.submit("large three", agent="cashier")
    (asked,) = shop.asks(task_id)
    decide(shop, asked, decision="edit", arguments={"order": "A-1", "amount": 100.5})
    assert shop.outcome(task_id)["status"] == "succeeded"
    assert paid(shop, task_id) == [100.5]


def test_a_small_payment_needs_nobody(shop: Stage) -> None:
    task_id = shop.submit("small", agent="cashier")
    assert shop.outcome(task_id)["status"] == "succeeded"
    assert paid(shop, task_id) == [20.0]


def test_several_questions_are_open_at_once_and_what_needs_none_is_done(shop: Stage) -> None:
    task_id = shop.submit("both", agent="cashier")
    approval, question = shop.asks(task_id)
    assert paid(shop, task_id) == [30.0]
    status, problem = decide(shop, question, answer="green")
    assert (status, problem["code"]) == (400, "invalid_request")
    decide(shop, question, answer="blue")
    assert [i["id"] for i in shop.asks(task_id)] == [approval["id"]]
    decide(shop, approval, decision="approve")
    assert shop.outcome(task_id)["status"] == "succeeded"
    assert sorted(paid(shop, task_id)) == [30.0, 150.0]


def test_nobody_else_can_decide(shop: Stage) -> None:
    task_id = shop.submit("large four", agent="cashier")
    (asked,) = shop.asks(task_id)
    path = f"/v1/tasks/{task_id}/interrupts/{asked['id']}"
    assert shop.other_tenant.post(path, json={"decision": "approve"}).status_code == 404
    assert shop.stranger.post(path, json={"decision": "approve"}).status_code in (401, 403)
    assert paid(shop, task_id) == []
    shop.http.post(f"/v1/tasks/{task_id}/cancel")
    status, problem = decide(shop, asked, decision="approve")
    assert (status, problem["code"]) == (410, "interrupt_expired")
    assert paid(shop, task_id) == []


def test_the_topic_is_told_what_is_asked(shop: Stage) -> None:
    task_id = shop.submit("colour", agent="cashier")
    (asked,) = shop.asks(task_id)
    assert (asked["kind"], asked["choices"]) == ("question", ["red", "blue"])
    decide(shop, asked, answer="red")
    task = shop.outcome(task_id)
    assert task["result"] == "Over: red"
    told = [json.loads(message["Body"]) for message in shop.announced(task_id)]
    assert told[-1]["type"] == "task.succeeded"


def test_the_command_line_lists_edits_and_follows(shop: Stage, cashier: Command) -> None:
    task_id = shop.submit("large five", agent="cashier")
    (asked,) = shop.asks(task_id)
    listed = cashier("interrupts")
    assert "The agent wants to call 'pay_back'" in listed.stdout
    assert "  amount: 312.4" in listed.stdout
    refused = cashier("answer", task_id, asked["id"], "edit", "--arguments", "nothing")
    assert (refused.returncode, "is no JSON object" in refused.stderr) == (1, True)
    done = cashier(
        *("answer", task_id, asked["id"], "edit"),
        *("--arguments", '{"order": "A-1", "amount": 7}', "--watch"),
    )
    assert done.returncode == 0, done.stderr
    assert paid(shop, task_id) == [7.0]
