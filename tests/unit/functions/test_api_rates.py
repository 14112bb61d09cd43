"""How often a tenant may call."""

from dataclasses import replace

import pytest

from functions.api import current
from ratchet.app.rate_gate import RateGate
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.names import Scope
from ratchet.domain.request_rate import RequestRate
from ratchet.testing.tenant_rates import InMemoryTenantRates
from tests.unit.functions.test_api import call
from tests.unit.functions.test_api_access import deployment, key, request


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> InMemoryTenantRates:
    world = deployment()
    rates = InMemoryTenantRates(world[0].clock)
    limited = replace(world[1], gate=RateGate(rates, RequestRate(per_second=1, burst=2)))
    monkeypatch.setattr(current, "wiring", lambda: limited)
    return rates


def of(tenant: str) -> dict[str, dict[str, str]]:
    return {"lambda": {**key(Scope.READ)["lambda"], "tenant": tenant}}


def test_beyond_its_rate_a_tenant_is_told_when_to_come_again(rates: InMemoryTenantRates) -> None:
    answers = [call(request("GET /v1/tasks", of("acme"))) for _ in range(3)]
    assert [status for status, _, _ in answers] == [200, 200, 429]
    _, problem, headers = answers[-1]
    assert (problem["code"], headers["retry-after"]) == ("rate_limited", "1")
    assert call(request("GET /v1/tasks", of("globex")))[0] == 200


def test_what_is_refused_or_open_to_all_counts_against_nobody(rates: InMemoryTenantRates) -> None:
    for _ in range(5):
        assert call(request("POST /v1/tasks", of("acme")))[0] == 403
        assert call(request("GET /v1/tasks", None))[0] == 401
        assert call(request("GET /v1/health", None))[0] == 200
    assert rates.taken == 0


def test_a_bucket_that_cannot_be_reached_is_an_outage(
    rates: InMemoryTenantRates, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(tenant: str, rate: RequestRate) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(rates, "take", down)
    status, problem, _ = call(request("GET /v1/tasks", of("acme")))
    assert (status, problem["code"]) == (503, "unavailable")


def test_without_a_rate_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    _, plain = deployment()
    monkeypatch.setattr(current, "wiring", lambda: plain)
    assert plain.gate is None
    assert {call(request("GET /v1/tasks", of("acme")))[0] for _ in range(50)} == {200}
