"""Keys from their making to their end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.app.api_keys import ManageKeys, VerifyKey
from ratchet.contracts.names import Scope
from ratchet.contracts.request_errors import InvalidRequest, KeyNotFound
from ratchet.domain.api_keys import ApiKey
from ratchet.testing.api_keys import CountingChance, InMemoryApiKeys
from ratchet.testing.clock import FakeClock

HOUR_MS = 3_600_000
READ = frozenset({Scope.READ})


class Door:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.kept = InMemoryApiKeys()
        self.manage = ManageKeys(self.kept, self.clock, CountingChance())
        self.verify = VerifyKey(self.kept, self.clock)

    def opens(self, text: str) -> bool:
        return self.verify(text) is not None

    def wait(self, hours: float) -> None:
        self.clock.sleep(hours * 3600)


def test_nothing_that_is_kept_of_a_key_can_be_used_as_one() -> None:
    door = Door()
    made = door.manage.create("acme", READ)
    secret = made.text.rpartition("_")[2]
    assert secret not in repr(door.manage.list("acme"))
    assert not door.opens(f"rk_{made.key.id}_{made.key.digest}")
    assert door.verify(made.text) == made.key


def test_a_key_expires_to_the_millisecond() -> None:
    door = Door()
    made = door.manage.create("acme", READ, lifetime_ms=HOUR_MS)
    assert made.key.is_open(made.key.created_at_ms + HOUR_MS - 1)
    assert not made.key.is_open(made.key.created_at_ms + HOUR_MS)
    door.wait(1)
    assert not door.opens(made.text)


def test_a_rotated_key_and_the_new_one_open_during_the_overlap() -> None:
    door = Door()
    old = door.manage.create("acme", READ, name="ci", user="ann")
    new = door.manage.rotate(old.key.id, overlap_ms=2 * HOUR_MS)
    assert (new.key.tenant, new.key.scopes, new.key.name, new.key.user) == (
        *("acme", READ, "ci", "ann"),
    )
    assert (door.opens(old.text), door.opens(new.text)) == (True, True)
    door.wait(2)
    assert (door.opens(old.text), door.opens(new.text)) == (False, True)


def test_rotating_never_prolongs_the_old_key_and_renews_the_lifetime() -> None:
    door = Door()
    old = door.manage.create("acme", READ, lifetime_ms=3 * HOUR_MS)
    door.wait(2)
    new = door.manage.rotate(old.key.id, overlap_ms=24 * HOUR_MS)
    door.wait(1)
    assert (door.opens(old.text), door.opens(new.text)) == (False, True)
    door.wait(2)
    assert not door.opens(new.text)


def test_a_closed_key_is_not_rotated_and_revoking_twice_changes_nothing() -> None:
    door = Door()
    made = door.manage.create("acme", READ)
    first = door.manage.revoke(made.key.id)
    door.wait(1)
    assert door.manage.revoke(made.key.id) == first
    with pytest.raises(InvalidRequest, match="closed"):
        door.manage.rotate(made.key.id, overlap_ms=0)


def test_a_key_that_is_revoked_while_it_is_rotated_stays_revoked() -> None:
    door = Door()
    old = door.manage.create("acme", READ)
    add = door.kept.add

    def revoked_meanwhile(key: ApiKey) -> None:
        add(key)
        door.manage.revoke(old.key.id)

    door.kept.add = revoked_meanwhile  # type: ignore[method-assign]
    with pytest.raises(InvalidRequest, match="is closed"):
        door.manage.rotate(old.key.id, overlap_ms=HOUR_MS)
    assert not door.opens(old.text)
    assert all(key.revoked_at_ms is not None for key in door.manage.list("acme"))


def test_a_key_that_is_not_there_is_named() -> None:
    door = Door()
    with pytest.raises(KeyNotFound, match="0a"):
        door.manage.revoke("0a")


@pytest.mark.parametrize("tenant", ["", "a#b", "TENANT#x", "a b", "a/b", "x" * 129, "ü"])
def test_a_tenant_that_could_leave_its_place_in_a_key_gets_none(tenant: str) -> None:
    with pytest.raises(InvalidRequest, match="no name of a tenant"):
        Door().manage.create(tenant, READ)


@pytest.mark.parametrize("user", ["", "u" * 129])
def test_a_user_whom_the_api_would_refuse_gets_no_key(user: str) -> None:
    with pytest.raises(InvalidRequest, match="1 to 128 characters"):
        Door().manage.create("acme", READ, user=user)


def test_a_key_without_scopes_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="scope"):
        Door().manage.create("acme", frozenset())


@given(st.text())
def test_no_text_but_the_key_opens(text: str) -> None:
    door = Door()
    made = door.manage.create("acme", READ)
    assert door.opens(text) == (text == made.text)
