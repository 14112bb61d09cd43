"""The calls about announcements."""

import json
from typing import Any

import pytest

from functions.api import current, handler
from ratchet import Agent
from ratchet.contracts.errors import DeliveryFailed, ReceiverGone
from ratchet.contracts.messages import TaskRef
from ratchet.testing.chat import says
from tests.api_wiring import wired
from tests.envelopes import LambdaContext, envelope
from tests.unit.shared.app.world import World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(Agent("support", "Help.", policy="react"), chat=lambda _: says("Done."))
    monkeypatch.setattr(current, "wiring", lambda: wired(made))
    return made


def call(path: str, method: str = "GET", tenant: str = "acme", **query: str) -> tuple[int, Any]:
    event = envelope("api/get_task")
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["requestContext"]["http"]["method"] = method
    event["queryStringParameters"] = query
    event["requestContext"]["authorizer"]["lambda"]["tenant"] = tenant
    answer = handler.lambda_handler(event, LambdaContext())  # type: ignore[arg-type]
    return answer["statusCode"], json.loads(answer["body"])


def announced(world: World, *failures: DeliveryFailed) -> TaskRef:
    ref = world.submitted(webhook={"url": "https://example.com/hook"})
    world.run(ref)
    world.webhook.fail_with(*failures)
    world.announce_all(ref)
    return ref


def test_the_log_of_a_task_tells_every_way_and_try(world: World) -> None:
    ref = announced(world, DeliveryFailed("the receiver answered 503 Busy", 600.0))
    status, body = call(f"/v1/tasks/{ref.task_id}/deliveries")
    assert status == 200
    sns, webhook = body["deliveries"]
    assert (sns["channel"], sns["status"], sns["tries"], sns["next_try_at"]) == (
        *("sns", "delivered", 1),
        None,
    )
    assert webhook == {
        "id": f"{sns['event_id']}.webhook",
        "event_id": sns["event_id"],
        "type": "task.succeeded",
        "channel": "webhook",
        "status": "pending",
        "tries": 1,
        "next_try_at": "2026-01-01T00:10:00.000Z",
        "attempts": [
            {
                "at": "2026-01-01T00:00:00.000Z",
                "ok": False,
                "detail": "the receiver answered 503 Busy",
            }
        ],
    }


def test_dead_deliveries_are_listed_by_tenant_and_sent_again(world: World) -> None:
    ref = announced(world, ReceiverGone("the receiver answered 410 Gone"))
    status, body = call("/v1/deliveries")
    (dead,) = body["deliveries"]
    assert (status, body["next_cursor"]) == (200, None)
    assert (dead["task_id"], dead["type"], dead["channel"]) == (
        *(ref.task_id, "task.succeeded"),
        "webhook",
    )
    assert call("/v1/deliveries", tenant="globex") == (200, {**body, "deliveries": []})

    path = f"/v1/tasks/{ref.task_id}/deliveries/{dead['id']}/redeliver"
    status, sent = call(path, "POST")
    assert (status, sent["status"], sent["tries"]) == (202, "pending", 1)
    assert call("/v1/deliveries")[1]["deliveries"] == []
    world.announce_all(ref)
    (_, webhook) = call(f"/v1/tasks/{ref.task_id}/deliveries")[1]["deliveries"]
    assert (webhook["status"], webhook["tries"], len(webhook["attempts"])) == ("delivered", 2, 2)


@pytest.mark.parametrize("tail", ["deliveries", "deliveries/{}/redeliver"])
def test_a_foreign_or_unknown_task_is_not_found(world: World, tail: str) -> None:
    ref = announced(world)
    id_ = call(f"/v1/tasks/{ref.task_id}/deliveries")[1]["deliveries"][0]["id"]
    method = "POST" if "redeliver" in tail else "GET"
    for task_id, tenant in ((ref.task_id, "globex"), ("nonsense", "acme")):
        status, body = call(f"/v1/tasks/{task_id}/{tail.format(id_)}", method, tenant)
        assert (status, body["code"]) == (404, "not_found")
    assert len(world.webhook.attempts) == 1


@pytest.mark.parametrize("id_", ["nonsense", "evt_1.sns", "..%2f..", "evt_1_1_x.webhook"])
def test_an_unknown_delivery_is_not_found(world: World, id_: str) -> None:
    ref = announced(world)
    status, body = call(f"/v1/tasks/{ref.task_id}/deliveries/{id_}/redeliver", "POST")
    assert (status, body["code"]) == (404, "not_found")


def test_a_page_size_or_cursor_out_of_bounds_is_refused(world: World) -> None:
    for query in ({"limit": "0"}, {"limit": "101"}, {"cursor": "nonsense"}):
        status, body = call("/v1/deliveries", **query)
        assert (status, body["code"]) == (400, "invalid_request")
