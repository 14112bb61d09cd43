"""API keys: what one looks like, what is kept of it, and when it opens.

A key is `rk_<id>_<secret>`: the id finds what is kept, the secret is 32 random bytes of which only the SHA-256 is kept.
A slow hash (bcrypt, argon2) makes guessing a person's password dear; nobody guesses 256 random bits, so a fast hash is
as safe here, and an authorizer that spends 100 ms of CPU on each unknown key would be a lever for an attacker.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, replace

from ratchet.contracts.names import Scope

PREFIX = "rk_"
ID_BYTES = 10
SECRET_BYTES = 32

_KEY = re.compile(r"rk_([0-9a-f]{20})_([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key: enough to recognize it, not enough to use it."""

    id: str
    tenant: str
    digest: str
    scopes: frozenset[Scope]
    created_at_ms: int
    name: str = ""
    user: str | None = None
    expires_at_ms: int | None = None
    revoked_at_ms: int | None = None

    def is_open(self, now_ms: int) -> bool:
        """Whether the key may be used at this time."""
        is_due = self.expires_at_ms is not None and now_ms >= self.expires_at_ms
        return self.revoked_at_ms is None and not is_due

    def is_of(self, secret: str) -> bool:
        """Whether this is the key's secret; the comparison takes as long for any guess."""
        return hmac.compare_digest(self.digest, digest_of(secret))

    def ending_by(self, at_ms: int) -> "ApiKey":
        """The key with its end at this time, unless it ends sooner."""
        ends = at_ms if self.expires_at_ms is None else min(at_ms, self.expires_at_ms)
        return replace(self, expires_at_ms=ends)


def digest_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def key_text(key_id: str, secret: str) -> str:
    """The key as its holder gets it, once."""
    return f"{PREFIX}{key_id}_{secret}"


def parse_key(text: str) -> tuple[str, str] | None:
    """Id and secret of an offered key; None if it cannot be one of ours."""
    found = _KEY.fullmatch(text)
    return (found[1], found[2]) if found else None
