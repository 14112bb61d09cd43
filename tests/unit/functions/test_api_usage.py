"""GET /v1/usage, and what a task cost."""

import json
from typing import Any

import pytest

from functions.api import current, handler
from ratchet import Agent
from ratchet.contracts.messages import TaskRef
from ratchet.domain.task_bill import Functions
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import says
from tests.api_wiring import wired
from tests.envelopes import LambdaContext, envelope
from tests.unit.shared.app.world import World

AGENT = Agent("support", "Help.", policy="react")
SIZES = Functions(step_executor_mb=2048, architecture="x86_64")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    def answer(_: ModelCall) -> ModelAnswer:
        made.clock.advance(3)
        return says("Done.")

    made = World(AGENT, chat=answer)
    monkeypatch.setattr(current, "wiring", lambda: wired(made, sizes=SIZES))
    return made


def get(path: str, tenant: str | None = None, **query: str) -> tuple[int, dict[str, Any]]:
    event = envelope("api/get_task")
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["queryStringParameters"] = query
    event["rawQueryString"] = "&".join(f"{name}={value}" for name, value in query.items())
    if tenant is not None:
        event["requestContext"]["authorizer"]["lambda"]["tenant"] = tenant
    answer = handler.lambda_handler(event, LambdaContext())  # type: ignore[arg-type]
    return answer["statusCode"], json.loads(answer["body"])


def finished(world: World, **request: object) -> TaskRef:
    ref = world.submitted(**request)  # type: ignore[arg-type]
    world.run(ref)
    world.announce_all(ref)
    return ref


@pytest.mark.parametrize(
    ("by", "key"), [("day", None), ("model", "gpt-4o-mini"), ("agent", "support"), ("user", "u-1")]
)
def test_what_was_used_is_told_by_day_model_agent_and_user(
    world: World, by: str, key: str | None
) -> None:
    refs = [finished(world, user_id="u-1") for _ in range(2)]
    cost = sum(world.tip(ref).totals.cost_microusd for ref in refs)
    status, report = get("/v1/usage", by=by)

    assert status == 200
    (group,) = report["groups"]
    assert group["key"] == key or (by == "day" and group["key"] == report["last_day"])
    assert (group["steps"], group["cost_usd"]) == (2, cost / 1e6)
    assert report["total"] == {name: group[name] for name in ("steps", "usage", "cost_usd")}
    assert (report["by"], report["rest"]) == (by, None)


def test_what_runs_is_not_in_it_yet(world: World) -> None:
    ref = world.submitted()
    world.run(ref)
    assert get("/v1/usage")[1]["groups"] == []


def test_another_tenant_sees_nothing_of_it(world: World) -> None:
    finished(world)
    assert get("/v1/usage", tenant="globex")[1]["total"]["steps"] == 0
    assert get("/v1/usage")[1]["total"]["steps"] == 1


@pytest.mark.parametrize(
    ("query", "says_what"),
    [
        ({"from": "yesterday"}, "from: 'yesterday' is no day; write it as 2026-11-22"),
        ({"from": "2026-01-01", "to": "2027-01-01"}, "at most 92 days"),
        ({"from": "2026-01-02", "to": "2026-01-01"}, "is after to"),
        ({"by": "hour"}, "by"),
    ],
)
def test_a_wrong_question_is_answered_with_what_to_ask(
    world: World, query: dict[str, str], says_what: str
) -> None:
    status, problem = get("/v1/usage", **query)

    assert (status, problem["code"]) == (400, "invalid_request")
    assert says_what in problem["detail"]


def test_a_task_tells_what_models_and_aws_cost(world: World) -> None:
    ref = finished(world)
    _, task = get(f"/v1/tasks/{ref.task_id}")
    cost = task["cost"]

    assert cost["models_usd"] == task["cost_usd"] > 0
    assert cost["aws_usd"] == pytest.approx(sum(cost["aws"].values()))
    assert cost["total_usd"] == pytest.approx(cost["models_usd"] + cost["aws_usd"])
    assert {"Step Functions", "Lambda", "DynamoDB", "SQS"} <= set(cost["aws"])


def test_the_aws_side_is_that_of_the_functions_as_they_are_deployed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = world.submitted()
    world.run(ref)
    large = get(f"/v1/tasks/{ref.task_id}")[1]["cost"]["aws"]["Lambda"]
    monkeypatch.setattr(current, "wiring", lambda: wired(world, sizes=Functions()))
    assert get(f"/v1/tasks/{ref.task_id}")[1]["cost"]["aws"]["Lambda"] < large
