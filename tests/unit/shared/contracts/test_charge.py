from hypothesis import given
from hypothesis import strategies as st

from ratchet.contracts.charge import NO_CHARGE, Charge

COUNTS = st.integers(0, 10**12)
CHARGES = st.builds(Charge, COUNTS, COUNTS)


def test_dollars_alone_and_tokens_alone_are_something() -> None:
    assert not NO_CHARGE
    assert Charge(1)
    assert Charge(0, 1)


@given(CHARGES, CHARGES)
def test_what_is_beyond_one_makes_it_cover_the_other(one: Charge, other: Charge) -> None:
    assert one + other.beyond(one) == one.at_least(other)


@given(CHARGES, CHARGES)
def test_nothing_of_a_charge_is_beyond_one_that_has_it_all(one: Charge, other: Charge) -> None:
    assert not one.beyond(one + other)
    assert (one + other).beyond(one) == other
