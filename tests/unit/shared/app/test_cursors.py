"""Cursors: what was handed out is taken back by the same list of the same tenant alone."""

import base64

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ratchet.app.cursors import Cursors, Listing
from ratchet.contracts.limits import MAX_CURSOR_CHARS
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.testing.signing_keys import InMemorySigningKeys

names = st.text(max_size=20)
places = st.text(min_size=1, max_size=60)
filters = st.dictionaries(names, st.none() | names, max_size=3)
listings = st.builds(Listing, names, names, filters)


@pytest.fixture(scope="module")
def cursors() -> Cursors:
    return Cursors(InMemorySigningKeys())


def says(listing: Listing) -> tuple[str, str, dict[str, str]]:
    asked = {name: value for name, value in listing.filters.items() if value is not None}
    return listing.tenant, listing.name, asked


@given(listing=listings, place=places)
def test_a_cursor_leads_back_to_its_place(cursors: Cursors, listing: Listing, place: str) -> None:
    assert cursors.read(listing, cursors.write(listing, place)) == place


def test_a_filter_that_is_not_set_is_none(cursors: Cursors) -> None:
    cursor = cursors.write(Listing("acme", "tasks", {"agent": None}), "p")
    assert cursors.read(Listing("acme", "tasks"), cursor) == "p"


@given(listing=listings, other=listings, place=places)
def test_a_cursor_of_another_tenant_list_or_filter_is_refused(
    cursors: Cursors, listing: Listing, other: Listing, place: str
) -> None:
    assume(says(listing) != says(other))
    with pytest.raises(InvalidRequest, match="next_cursor"):
        cursors.read(other, cursors.write(listing, place))


@pytest.mark.parametrize(
    "other",
    [
        Listing("globex", "tasks", {"agent": "a"}),
        Listing("acme", "interrupts", {"agent": "a"}),
        Listing("acme", "tasks", {"agent": "b"}),
        Listing("acme", "tasks", {"user_id": "a"}),
        Listing("acme", "tasks", {"agent": "a", "status": "failed"}),
        Listing("acme", "tasks"),
    ],
)
def test_each_part_of_a_list_counts(cursors: Cursors, other: Listing) -> None:
    cursor = cursors.write(Listing("acme", "tasks", {"agent": "a"}), "task_1")
    with pytest.raises(InvalidRequest, match="same filters"):
        cursors.read(other, cursor)


@settings(max_examples=300)
@given(place=places, data=st.data())
def test_a_cursor_with_a_character_changed_is_refused(
    cursors: Cursors, place: str, data: st.DataObject
) -> None:
    listing = Listing("acme", "tasks")
    cursor = cursors.write(listing, place)
    at = data.draw(st.integers(0, len(cursor) - 1))
    changed = cursor[:at] + data.draw(st.characters()) + cursor[at + 1 :]
    assume(changed != cursor)
    with pytest.raises(InvalidRequest):
        cursors.read(listing, changed)


@given(text=st.text(max_size=80) | st.binary(max_size=80).map(base64.urlsafe_b64encode).map(str))
def test_what_we_never_wrote_is_refused(cursors: Cursors, text: str) -> None:
    with pytest.raises(InvalidRequest):
        cursors.read(Listing("acme", "tasks"), text)


def test_an_endless_cursor_is_refused_unread(cursors: Cursors) -> None:
    with pytest.raises(InvalidRequest):
        cursors.read(Listing("acme", "tasks"), "A" * (MAX_CURSOR_CHARS + 1))


def test_a_cursor_says_nothing_of_the_key_and_fits_a_query(cursors: Cursors) -> None:
    cursor = cursors.write(Listing("acme", "tasks"), "task_01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert cursor.isascii()
    assert len(cursor) < 80
    assert not set(cursor) & set("+/=&?#% ")


def test_a_cursor_outlives_the_replacement_of_the_root_key() -> None:
    keys = InMemorySigningKeys()
    listing = Listing("acme", "tasks")
    old = Cursors(keys).write(listing, "p")
    keys.replace("another root key")
    assert Cursors(keys).read(listing, old) == "p"
    keys.roots(fresh=True)
    assert Cursors(keys).write(listing, "p") != old
    assert Cursors(keys).read(listing, old) == "p"


def test_a_sandbox_that_knows_only_the_old_key_looks_again() -> None:
    stale, ahead = InMemorySigningKeys(), InMemorySigningKeys()
    stale.roots()
    for keys in (stale, ahead):
        keys.replace("another root key")
    listing = Listing("acme", "tasks")
    ahead.roots(fresh=True)
    cursor = Cursors(ahead).write(listing, "p")
    assert Cursors(stale).read(listing, cursor) == "p"
