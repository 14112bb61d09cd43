"""Make, list, revoke and rotate API keys, and recognize an offered one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ratchet.contracts.limits import MAX_USER_ID_CHARS
from ratchet.contracts.names import Scope
from ratchet.contracts.request_errors import InvalidRequest, KeyNotFound
from ratchet.domain.api_keys import (
    ID_BYTES,
    SECRET_BYTES,
    ApiKey,
    digest_of,
    key_text,
    parse_key,
)
from ratchet.domain.tenant_name import is_tenant_name
from ratchet.ports import Clock
from ratchet.tenancy_ports import ApiKeys, Chance


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key and its text, which cannot be had again."""

    key: ApiKey
    text: str


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """Whose key it is."""

    keys: ApiKeys
    clock: Clock

    def __call__(self, offered: str) -> ApiKey | None:
        """The key that was offered, if it is one and may be used now.

        Raises:
            RetryableError: it cannot be looked up now.
        """
        parsed = parse_key(offered)
        key = self.keys.find(parsed[0]) if parsed else None
        if parsed is None or key is None or not key.is_of(parsed[1]):
            return None
        return key if key.is_open(self.clock.now_ms()) else None


@dataclass(frozen=True, slots=True)
class ManageKeys:
    """What an operator does with the keys of tenants."""

    keys: ApiKeys
    clock: Clock
    chance: Chance

    def create(
        self,
        tenant: str,
        scopes: frozenset[Scope],
        *,
        name: str = "",
        user: str | None = None,
        lifetime_ms: int | None = None,
    ) -> NewKey:
        """A new key of the tenant.

        Raises:
            InvalidRequest: no tenant or user can be called that, or the key could do nothing.
        """
        if not is_tenant_name(tenant):
            raise InvalidRequest(
                f"{tenant!r} is no name of a tenant: use 1 to 128 letters, digits, _ . : @ and -"
            )
        if user is not None and not 1 <= len(user) <= MAX_USER_ID_CHARS:
            raise InvalidRequest(f"a user's id has 1 to {MAX_USER_ID_CHARS} characters")
        if not scopes:
            raise InvalidRequest("a key without a scope can do nothing: give it one")
        now = self.clock.now_ms()
        ends = None if lifetime_ms is None else now + lifetime_ms
        return self._add(ApiKey("", tenant, "", scopes, now, name, user, ends))

    def list(self, tenant: str) -> Sequence[ApiKey]:
        """The tenant's keys, oldest first."""
        return self.keys.of_tenant(tenant)

    def revoke(self, key_id: str) -> ApiKey:
        """Close a key for good; the same again changes nothing.

        Raises:
            KeyNotFound: there is none of that id.
        """
        key = self._found(key_id)
        if key.revoked_at_ms is None:
            key = replace(key, revoked_at_ms=self.clock.now_ms())
            self.keys.replace(key)
        return key

    def rotate(self, key_id: str, *, overlap_ms: int) -> NewKey:
        """A new key that may do the same; the old one opens for the overlap and then no more.

        Raises:
            KeyNotFound: there is none of that id.
            InvalidRequest: it is closed already.
        """
        old, now = self._found(key_id), self.clock.now_ms()
        if not old.is_open(now):
            raise _closed(key_id)
        lifetime = None if old.expires_at_ms is None else old.expires_at_ms - old.created_at_ms
        ends = None if lifetime is None else now + lifetime
        # The new one first: a crash between the two leaves the holder with the old one.
        made = self._add(replace(old, created_at_ms=now, expires_at_ms=ends))
        if not self.keys.replace(old.ending_by(now + overlap_ms)):  # revoked meanwhile
            self.keys.replace(replace(made.key, revoked_at_ms=now))
            raise _closed(key_id)
        return made

    def _add(self, key: ApiKey) -> NewKey:
        key_id, secret = self.chance.hex(ID_BYTES), self.chance.hex(SECRET_BYTES)
        made = replace(key, id=key_id, digest=digest_of(secret))
        self.keys.add(made)
        return NewKey(made, key_text(key_id, secret))

    def _found(self, key_id: str) -> ApiKey:
        key = self.keys.find(key_id)
        if key is None:
            raise KeyNotFound(
                f"there is no key {key_id}; `ratchet keys list` shows a tenant's keys"
            )
        return key


def _closed(key_id: str) -> InvalidRequest:
    return InvalidRequest(f"key {key_id} is closed: create a new one")
