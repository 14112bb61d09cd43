"""The receiver's side: what the public library signs is taken, and what it would refuse is refused."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from ratchet.webhooks import NotGenuine, verify

SECRET = "whsec_" + "bmV3LXNlY3JldC1vZi10aGlydHktdHdvLWJ5dGVzLi4="
OTHER = "whsec_" + "b2xkLXNlY3JldC1vZi10aGlydHktdHdvLWJ5dGVzLi4="
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BODY = '{"type":"task.succeeded","data":"ü"}'.encode()
Headers = dict[str, str]


def signed(*secrets: str, body: bytes = BODY, at: datetime = NOW) -> Headers:
    signatures = [Webhook(secret).sign("evt_1", at, body.decode()) for secret in secrets]
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": " ".join(signatures),
    }


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_what_the_library_signs_is_taken(data: dict[str, object]) -> None:
    body = json.dumps(data, ensure_ascii=True).encode()
    assert verify(body, signed(SECRET, body=body), SECRET, now=NOW) == data


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_one_of_several_signatures_is_enough(secret: str) -> None:
    assert verify(BODY, signed(SECRET, OTHER), secret, now=NOW) == json.loads(BODY)


def test_a_request_of_now_needs_no_time_given() -> None:
    assert verify(BODY, signed(SECRET, at=datetime.now(UTC)), SECRET) == json.loads(BODY)  # noqa: TID251


@pytest.mark.parametrize("minutes", [-6, 6])
def test_what_was_signed_long_ago_or_ahead_is_refused(minutes: int) -> None:
    at = NOW + timedelta(minutes=minutes)
    with pytest.raises(NotGenuine, match="five minutes"):
        verify(BODY, signed(SECRET, at=at), SECRET, now=NOW)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda h: {**h, "Webhook-Id": "evt_2"},
        lambda h: {**h, "Webhook-Id": ""},
        lambda h: {**h, "Webhook-Timestamp": "1"},
        lambda h: {**h, "Webhook-Timestamp": "soon"},
        lambda h: {**h, "Webhook-Timestamp": "9" * 5_000},
        lambda h: {**h, "Webhook-Signature": h["Webhook-Signature"].replace("v1,", "v2,")},
        lambda h: {**h, "Webhook-Signature": h["Webhook-Signature"][:-2]},
        lambda h: {**h, "Webhook-Signature": "ü v1, v1"},
        lambda h: {},
    ],
)
def test_a_spoiled_request_is_refused(spoil: Callable[[Headers], Headers]) -> None:
    with pytest.raises(NotGenuine):
        verify(BODY, spoil(signed(SECRET)), SECRET, now=NOW)


def test_another_body_or_secret_is_refused() -> None:
    for body, secret in ((BODY + b" ", SECRET), (BODY, OTHER), (BODY, "whsec_???")):
        with pytest.raises(NotGenuine):
            verify(body, signed(SECRET), secret, now=NOW)
