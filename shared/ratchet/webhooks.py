"""For receivers of Ratchet's webhooks: who sent this, and when? Needs nothing but the standard library.

    from ratchet.webhooks import NotGenuine, verify

    event = verify(request.body, request.headers, "whsec_...")

`ratchet webhook-secret URL` prints the secret. Any library for Standard Webhooks does the same.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from ratchet.contracts.names import Json

TOLERANCE_SECONDS = 300


class NotGenuine(ValueError):
    """The request was not signed with this secret, or too long ago; answer 401 and forget it."""


def verify(
    body: bytes, headers: Mapping[str, str], secret: str, *, now: datetime | None = None
) -> Json:
    """The parsed body of a request that is signed with `secret` and at most five minutes old or ahead.

    Raises:
        NotGenuine: it is not.
    """
    given = {name.lower(): value for name, value in headers.items()}
    id_, sent_at = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    signatures = given.get("webhook-signature", "").split(" ")
    if not (id_ and sent_at.isascii() and sent_at.isdigit() and len(sent_at) <= 12):
        raise NotGenuine("the headers of a webhook are missing")
    expected = _signature(f"{id_}.{sent_at}.".encode() + body, secret)
    matches = [hmac.compare_digest(expected, s.encode()) for s in signatures]
    if not any(matches):
        raise NotGenuine("no signature is by this secret")
    at = now or datetime.now(UTC)  # noqa: TID251 - a receiver has no port for the time
    if abs(at.timestamp() - int(sent_at)) > TOLERANCE_SECONDS:
        raise NotGenuine("it was signed more than five minutes ago, or ahead")
    parsed: Json = json.loads(body)
    return parsed


def _signature(signed: bytes, secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise NotGenuine("the secret is not of the form whsec_<base64>") from None
    return b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
