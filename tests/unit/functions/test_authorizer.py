"""API keys at the door: those of the table, and the first ones of the deployment's secret."""

import json
from typing import Any

import pytest

from functions.authorizer import handler
from functions.authorizer.first_keys import tenant_of_key
from ratchet.app.api_keys import ManageKeys, VerifyKey
from ratchet.app.front_door import FrontDoor
from ratchet.contracts.access import ORIGIN_HEADER
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.names import Scope
from ratchet.contracts.settings import AuthorizerSettings
from ratchet.testing.api_keys import CountingChance, InMemoryApiKeys
from ratchet.testing.clock import FakeClock
from ratchet.testing.signing_keys import InMemorySigningKeys
from tests.envelopes import envelope

FIRST = envelope("authorizer/request")["headers"]["x-api-key"]


class Kept:
    """A secret as Secrets keeps it."""

    def __init__(self, secret: Any) -> None:
        self.secret = secret

    def get(self, arn: str) -> str:
        assert arn == "arn:keys"
        return json.dumps(self.secret)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> ManageKeys:
    kept, clock = InMemoryApiKeys(), FakeClock()
    secret = Kept({"tenant": "acme", "key": FIRST})
    monkeypatch.setattr(handler, "verify_key", lambda: VerifyKey(kept, clock))
    monkeypatch.setattr(handler, "api_keys", lambda: (secret, "arn:keys"))
    monkeypatch.setattr(handler, "front_door", lambda: None)
    return ManageKeys(kept, clock, CountingChance())


def verdict(key: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    event = envelope("authorizer/request")
    event["headers"] |= {"x-api-key": key, **(headers or {})}
    return handler.lambda_handler(event, None)


@pytest.mark.parametrize(
    "secret",
    [
        {"tenant": "acme", "key": FIRST},
        {"keys": [{"tenant": "globex", "key": "other"}, {"tenant": "acme", "key": FIRST}]},
    ],
)
def test_a_first_key_names_its_tenant_and_may_do_everything(
    keys: ManageKeys, secret: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, "api_keys", lambda: (Kept(secret), "arn:keys"))
    context = {"tenant": "acme", "scopes": "admin decide read submit"}
    assert verdict(FIRST) == {"isAuthorized": True, "context": context}
    for wrong in ("", FIRST[:-1], FIRST + "0", "ключ"):
        assert verdict(wrong) == {"isAuthorized": False}


def test_an_empty_stored_key_opens_nothing() -> None:
    assert tenant_of_key("", '{"tenant": "acme", "key": ""}') is None
    assert tenant_of_key("", '{"keys": []}') is None


def test_a_made_key_names_its_tenant_user_and_scopes(keys: ManageKeys) -> None:
    made = keys.create("globex", frozenset({Scope.READ, Scope.DECIDE}), user="ann")
    assert verdict(made.text) == {
        "isAuthorized": True,
        "context": {
            "tenant": "globex",
            "scopes": "decide read",
            "key_id": made.key.id,
            "user": "ann",
        },
    }


def test_a_key_with_another_secret_or_of_no_id_opens_nothing(keys: ManageKeys) -> None:
    first, second = (keys.create("globex", frozenset({Scope.READ})) for _ in range(2))
    prefix, _, secret = second.text.rpartition("_")
    mixed = first.text.rpartition("_")[0] + "_" + secret
    for wrong in (mixed, prefix, prefix + "_", second.text.upper(), second.text + "0", "rk_1_1"):
        assert verdict(wrong) == {"isAuthorized": False}


def test_a_revoked_key_opens_nothing(keys: ManageKeys) -> None:
    made = keys.create("globex", frozenset({Scope.READ}))
    keys.revoke(made.key.id)
    assert verdict(made.text) == {"isAuthorized": False}


def test_around_the_web_front_no_key_is_any(
    keys: ManageKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = keys.create("globex", frozenset({Scope.READ}))
    secret = InMemorySigningKeys(["of the front"])
    monkeypatch.setattr(handler, "front_door", lambda: FrontDoor(secret))
    for text in (made.text, FIRST):
        assert verdict(text) == {"isAuthorized": False}
        assert verdict(text, {ORIGIN_HEADER: "of the fronts"}) == {"isAuthorized": False}
        assert verdict(text, {ORIGIN_HEADER: "of the front"})["isAuthorized"] is True
    assert verdict("wrong", {ORIGIN_HEADER: "of the front"}) == {"isAuthorized": False}


@pytest.mark.parametrize("arn", ["", "arn:origin"])
def test_there_is_a_door_where_the_settings_name_its_secret(
    monkeypatch: pytest.MonkeyPatch, arn: str
) -> None:
    settings = AuthorizerSettings("arn:keys", "table", arn)
    for name, value in settings.to_env().items():
        monkeypatch.setenv(name, value)
    handler.front_door.cache_clear()  # type: ignore[attr-defined]
    assert (handler.front_door() is not None) is bool(arn)
    handler.front_door.cache_clear()  # type: ignore[attr-defined]


def test_keys_that_cannot_be_looked_up_are_no_verdict(keys: ManageKeys) -> None:
    made = keys.create("globex", frozenset({Scope.READ}))
    assert isinstance(keys.keys, InMemoryApiKeys)
    keys.keys.is_down = True
    with pytest.raises(StoreUnavailable):
        verdict(made.text)
