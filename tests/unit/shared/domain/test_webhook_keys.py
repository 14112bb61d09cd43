"""A secret for each endpoint, and another one in its place without a gap."""

import base64

import pytest

from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.webhook_keys import Rotation, WebhookKeys
from ratchet.domain.webhook_url import endpoint_of

ROOT = "a root key of the deployment"
KEYS = WebhookKeys.parse(ROOT)
URL = "https://hooks.example.com/a"
HOUR_MS = 3_600_000


def secrets(keys: WebhookKeys, *, tenant: str = "acme", url: str = URL, at: int = 0) -> list[str]:
    return list(keys.secrets(tenant, url, now_ms=at))


def test_each_endpoint_of_each_tenant_has_a_secret_of_32_bytes_of_its_own() -> None:
    found = [
        secrets(KEYS),
        secrets(KEYS, tenant="globex"),
        secrets(KEYS, url=URL + "b"),
        secrets(KEYS, url="https://hooks.example.org/a"),
        secrets(WebhookKeys.parse(ROOT + "2")),
    ]
    assert [len(each) for each in found] == [1] * 5
    assert len({one for (one,) in found}) == 5
    assert all(len(base64.b64decode(one.removeprefix("whsec_"))) == 32 for (one,) in found)
    assert secrets(KEYS) == secrets(WebhookKeys.parse(ROOT))


@pytest.mark.parametrize(
    "same",
    [URL + "?job=1", "https://HOOKS.example.com/a", "https://hooks.example.com:443/a", f"{URL}?"],
)
def test_what_differs_from_task_to_task_does_not_make_another_endpoint(same: str) -> None:
    assert endpoint_of(same) == URL
    assert secrets(KEYS, url=same) == secrets(KEYS)


def test_a_port_and_an_address_are_part_of_an_endpoint() -> None:
    assert endpoint_of("http://[::1]:8080") == "http://[::1]:8080/"
    assert endpoint_of("http://127.0.0.1:80/x?y") == "http://127.0.0.1/x"


def test_after_a_rotation_old_and_new_sign_until_the_overlap_is_over() -> None:
    (old,) = secrets(KEYS)
    rotated = KEYS.rotated("acme", URL, now_ms=HOUR_MS, overlap_ms=24 * HOUR_MS)
    new, also = secrets(rotated, at=25 * HOUR_MS - 1)
    assert (also, new != old) == (old, True)
    assert secrets(rotated, at=25 * HOUR_MS) == [new]
    assert secrets(rotated, url=URL + "b") == secrets(KEYS, url=URL + "b")
    assert secrets(rotated, tenant="globex") == secrets(KEYS, tenant="globex")


def test_a_rotation_without_overlap_ends_the_old_secret_at_once() -> None:
    rotated = KEYS.rotated("acme", URL, now_ms=5, overlap_ms=0)
    (new,) = secrets(rotated, at=5)
    assert [new] != secrets(KEYS)


def test_secrets_never_come_back() -> None:
    keys, seen = KEYS, secrets(KEYS)
    for _ in range(5):
        keys = keys.rotated("acme", URL, now_ms=0, overlap_ms=0)
        seen += secrets(keys)
    assert len(set(seen)) == 6


def test_what_is_stored_reads_back_and_holds_no_endpoint_secret() -> None:
    rotated = KEYS.rotated("acme", URL, now_ms=0, overlap_ms=HOUR_MS)
    text = rotated.to_text()
    assert WebhookKeys.parse(text) == rotated
    assert not any(secret in text for secret in secrets(rotated))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{}",
        '{"root": ""}',
        '{"root": "r", "endpoints": []}',
        '{"root": "r", "endpoints": {"a": {}}}',
        '{"root": "r", "endpoints": {"a": {"version": "x", "until_ms": 0}}}',
    ],
)
def test_what_cannot_be_read_says_how_to_mend_it(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"webhook secret is (empty|neither)"):
        WebhookKeys.parse(text)


def test_more_rotations_than_the_store_can_hold_are_refused() -> None:
    names = {f"acme {URL}/{number:050d}": Rotation(2, 0) for number in range(1_000)}
    with pytest.raises(InvalidRequest, match="replace the root key"):
        WebhookKeys(ROOT, names).rotated("acme", URL, now_ms=0, overlap_ms=0)
    fewer = WebhookKeys(ROOT, dict(list(names.items())[:300]))
    assert len(fewer.rotated("acme", URL, now_ms=0, overlap_ms=0).rotations) == 301


def test_what_was_rotated_of_a_tenant_can_be_forgotten_without_touching_another() -> None:
    url = "https://hooks.example.com/a"
    keys = WebhookKeys("root")
    for tenant in ("acme", "acme-2"):
        keys = keys.rotated(tenant, url, now_ms=0, overlap_ms=10)
    left = keys.without("acme")
    assert set(left.rotations) == {"acme-2 https://hooks.example.com/a"}
    assert left.secrets("acme", url, now_ms=0) == WebhookKeys("root").secrets("acme", url, now_ms=0)
