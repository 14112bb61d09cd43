"""What callers of a suspended tenant are answered."""

import pytest

from functions.api import current
from ratchet.app.manage_tenants import ManageTenants
from ratchet.contracts.names import Scope
from tests.unit.functions.test_api import call
from tests.unit.functions.test_api_access import deployment, key, request
from tests.unit.shared.app.world import World

GOAL = '{"goal": "Help."}'


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world, wiring = deployment()
    monkeypatch.setattr(current, "wiring", lambda: wiring)
    return world


def test_a_suspended_tenant_is_told_so_and_may_still_read_and_cancel(world: World) -> None:
    everything = key(*Scope)
    _, task, _ = call(request("POST /v1/tasks", everything, GOAL))
    ManageTenants(world.suspensions, world.clock).suspend("acme", reason="our secret reason")
    world.clock.advance(15)
    status, problem, _ = call(request("POST /v1/tasks", everything, GOAL))
    assert (status, problem["code"]) == (403, "tenant_suspended")
    assert "our secret reason" not in str(problem)
    for act in ("resume", "fork"):
        event = request(f"POST /v1/tasks/{task['task_id']}/{act}", everything)
        assert call(event)[1]["code"] == "tenant_suspended"
    assert call(request("GET /v1/tasks", everything))[0] == 200
    cancelled = call(request(f"POST /v1/tasks/{task['task_id']}/cancel", everything))
    assert cancelled[:2] == (200, {**cancelled[1], "status": "cancelled"})


def test_nothing_new_is_remembered_of_a_suspended_tenant(world: World) -> None:
    everything = key(*Scope)
    path = "/v1/memory/tenant/motto"
    assert call(request(f"PUT {path}", everything, '{"value": "On."}'))[0] == 200
    ManageTenants(world.suspensions, world.clock).suspend("acme")
    world.clock.advance(15)
    status, problem, _ = call(request(f"PUT {path}", everything, '{"value": "Back."}'))
    assert (status, problem["code"]) == (403, "tenant_suspended")
    assert call(request(f"GET {path}", everything))[1]["value"] == "On."
    assert call(request(f"DELETE {path}", everything))[0] == 200


def test_without_the_table_nothing_begins(world: World) -> None:
    world.suspensions.is_down = True
    status, problem, _ = call(request("POST /v1/tasks", key(*Scope), GOAL))
    assert (status, problem["code"]) == (503, "unavailable")
