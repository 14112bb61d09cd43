"""Cursors of lists: opaque to callers, signed, and good for one list of one tenant only.

A cursor is a place in a list, and a MAC over whose list it is, with which filters, and the place. So what comes back
was handed out by this deployment for this very list; a place that somebody made up never reaches the store.

The key is made from the root key of the webhooks, as theirs are, each with its own purpose: a secret of its own would
be paid for every month, and would be no safer, since neither key tells anything about the other or about the root.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ratchet.contracts.limits import MAX_CURSOR_CHARS
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.tenancy_ports import SigningKeys

_PURPOSE = "ratchet list cursor, form 1"  # another form of place needs another purpose
_MAC_BYTES = 16


@dataclass(frozen=True, slots=True)
class Listing:
    """A list that has pages: whose it is, which one, and what narrows it down."""

    tenant: str
    name: str
    filters: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cursors:
    """Writes cursors, and reads those that it wrote."""

    keys: SigningKeys

    def write(self, listing: Listing, place: str) -> str:
        """The cursor that goes on after this place of the list."""
        mac = _mac(self.keys.roots()[0], listing, place)
        return _encode(mac + place.encode())

    def read(self, listing: Listing, cursor: str) -> str:
        """The place that a cursor of this list stands for.

        Raises:
            InvalidRequest: it was not handed out for this list of this tenant with these filters.
            SecretUnavailable: what signed it cannot be read now.
        """
        mac, place = _decode(cursor)
        # Another sandbox may know a newer key than this one does.
        if not _is_signed(self.keys.roots(), listing, place, mac) and not _is_signed(
            self.keys.roots(fresh=True), listing, place, mac
        ):
            raise _foreign()
        return place


def _is_signed(roots: Sequence[str], listing: Listing, place: str, mac: bytes) -> bool:
    return any(hmac.compare_digest(_mac(root, listing, place), mac) for root in roots)


def _mac(root: str, listing: Listing, place: str) -> bytes:
    """Of a key of its own: what else is made from the root key tells nothing about it."""
    key = hmac.digest(root.encode(), _PURPOSE.encode(), hashlib.sha256)
    filters = sorted((name, value) for name, value in listing.filters.items() if value is not None)
    text = json.dumps([listing.tenant, listing.name, filters, place])
    return hmac.digest(key, text.encode(), hashlib.sha256)[:_MAC_BYTES]


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(cursor: str) -> tuple[bytes, str]:
    if len(cursor) > MAX_CURSOR_CHARS:
        raise _foreign()
    try:
        data = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        place = data[_MAC_BYTES:].decode()
    except (binascii.Error, ValueError):
        raise _foreign() from None
    if not place or _encode(data) != cursor:  # several texts decode to the same bytes
        raise _foreign()
    return data[:_MAC_BYTES], place


def _foreign() -> InvalidRequest:
    return InvalidRequest(
        "cursor: use next_cursor of the page before, unchanged and with the same filters; "
        "without a cursor the list begins anew"
    )
