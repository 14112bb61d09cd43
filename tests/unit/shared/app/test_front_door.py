"""What has passed the web front, and what came around it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.app.front_door import FrontDoor
from ratchet.contracts.access import ORIGIN_HEADER
from ratchet.contracts.request_errors import AroundTheFront
from ratchet.testing.signing_keys import InMemorySigningKeys

SECRET = "a secret of CloudFront"


def shown(text: str | None) -> dict[str, Any]:
    return {"headers": {} if text is None else {ORIGIN_HEADER: text}}


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"headers": None},
        *map(shown, (None, "", SECRET[:-1], SECRET + "0", SECRET.upper(), f"{SECRET},{SECRET}")),
        *map(shown, ("\ud800", f"{SECRET}\x00", "\u202e" + SECRET)),
        {"headers": {"x-api-key": SECRET}},
    ],
)
def test_what_does_not_show_the_secret_is_refused_with_the_way_to_go(event: dict[str, Any]) -> None:
    door = FrontDoor(InMemorySigningKeys([SECRET]))
    assert not door.is_passed(event)
    with pytest.raises(AroundTheFront, match="ApiUrl"):
        door.require(event)


def test_what_shows_it_goes_on() -> None:
    FrontDoor(InMemorySigningKeys([SECRET])).require(shown(SECRET))


@given(st.text(st.characters(), max_size=60))
def test_any_other_text_is_refused_and_none_is_a_bug(text: str) -> None:
    door = FrontDoor(InMemorySigningKeys([SECRET, "the one before"]))
    assert door.is_passed(shown(text)) is (text in (SECRET, "the one before"))


def test_an_empty_secret_opens_nothing() -> None:
    assert not FrontDoor(InMemorySigningKeys([""])).is_passed(shown(""))


def test_while_a_secret_is_replaced_no_request_is_refused() -> None:
    keys = InMemorySigningKeys([SECRET])
    door = FrontDoor(keys)
    door.require(shown(SECRET))
    keys.replace("new")
    door.require(shown(SECRET))  # CloudFront goes on with the old one until it is deployed again
    door.require(shown("new"))  # then it shows one that this sandbox has not read
    door.require(shown(SECRET))  # from an edge that has not heard of it yet
    keys.replace("newer")
    keys.roots(fresh=True)
    assert not door.is_passed(shown(SECRET))
