"""A deployment with a web front: the API's own address refuses everybody, whatever they bring."""

import json
import re
from typing import Any

import pytest

from functions.api import current, handler
from ratchet.app.front_door import FrontDoor
from ratchet.contracts.access import LINK_ROUTES, ORIGIN_HEADER, ROUTE_SCOPES, Identity
from ratchet.contracts.errors import SecretUnavailable
from ratchet.contracts.names import Scope
from ratchet.testing.signing_keys import InMemorySigningKeys
from tests.api_wiring import wired
from tests.envelopes import LambdaContext
from tests.unit.functions.test_api import AGENT
from tests.unit.functions.test_api_access import jwt, key, request
from tests.unit.shared.app.world import World

SECRET = "a secret of CloudFront"
ROUTES = [*ROUTE_SCOPES, *LINK_ROUTES, "GET /nowhere", "PUT /v1/tasks"]


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> InMemorySigningKeys:
    keys = InMemorySigningKeys([SECRET])
    wiring = wired(World(AGENT), front=FrontDoor(keys))
    monkeypatch.setattr(current, "wiring", lambda: wiring)
    return keys


def call(event: dict[str, Any], shown: str | None = None) -> tuple[int, dict[str, Any]]:
    if shown is not None:
        event["headers"][ORIGIN_HEADER] = shown
    answer = handler.lambda_handler(event, LambdaContext())  # type: ignore[arg-type]
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    assert headers["cache-control"] == "no-store"
    problem = json.loads(answer["body"]) if "json" in headers["content-type"] else {}
    assert SECRET not in json.dumps(answer)
    return answer["statusCode"], problem


def code(answer: tuple[int, dict[str, Any]]) -> tuple[int, str | None]:
    return answer[0], answer[1].get("code")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("shown", [None, "", "guessed"])
def test_no_route_answers_around_the_front_not_even_those_open_to_all(
    front: InMemorySigningKeys, route: str, shown: str | None
) -> None:
    every = key(*Scope)
    for authorizer in (every, None):
        event = request(re.sub(r"\{token\}", "t", route), authorizer, body="{not json")
        status, problem = call(event, shown)
        assert (status, problem["code"]) == (403, "around_the_front")
        assert "ApiUrl" in problem["detail"]


@pytest.mark.parametrize("route", ROUTE_SCOPES)
def test_through_the_front_every_route_is_as_it_is_without_one(
    front: InMemorySigningKeys, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = ROUTE_SCOPES[route]
    authorizer = None if scope is None else key(scope)
    through = call(request(route, authorizer), SECRET)
    plain = wired(World(AGENT))
    monkeypatch.setattr(current, "wiring", lambda: plain)
    assert code(through) == code(call(request(route, authorizer)))
    assert through[0] in {200, 400, 404}


def test_tokens_are_of_no_use_around_the_front(
    front: InMemorySigningKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "identity", lambda: Identity("jwt"))
    token = jwt(scope="read")
    assert code(call(request("GET /v1/tasks", token))) == (403, "around_the_front")
    assert call(request("GET /v1/tasks", token), SECRET)[0] == 200


def test_a_secret_that_cannot_be_read_lets_nobody_in(
    front: InMemorySigningKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*, fresh: bool = False) -> list[str]:
        raise SecretUnavailable

    monkeypatch.setattr(front, "roots", down)
    answer = call(request("GET /v1/health", None), SECRET)
    assert code(answer) == (503, "unavailable")
    assert code(call(request("GET /v1/health", None))) == (403, "around_the_front")
