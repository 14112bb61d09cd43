"""Bills in whole nano-dollars."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.domain.aws_bill import GIGABYTE_SECOND, PRICES, Counts, Resource, Service

AMOUNTS = st.dictionaries(
    st.tuples(st.sampled_from(Resource), st.sampled_from(["", "api", "step_executor"])),
    st.integers(0, 10**15),
)


def test_every_resource_has_a_price_and_the_page_that_states_it() -> None:
    assert set(PRICES) == set(Resource)
    assert all(price.source.startswith("https://aws.amazon.com/") for price in PRICES.values())


@pytest.mark.parametrize(
    ("resource", "quantity", "usd"),
    [
        (Resource.TRANSITIONS, 1_000_000, "25"),
        (Resource.ARM_TIME, GIGABYTE_SECOND, "0.000013334"),  # 0.0000133334, rounded up
        (Resource.ARM_TIME, GIGABYTE_SECOND * 10_000, "0.133334"),
        (Resource.WRITE_UNITS, 1_000_000, "0.625"),
        (Resource.READ_UNITS, 1, "0.000000125"),
        (Resource.SQS_REQUESTS, 5, "0.000002"),
        (Resource.S3_PUTS, 1000, "0.005"),
        (Resource.LOG_BYTES, 10**9, "0.5"),
        (Resource.SECRET_MONTHS, 3, "1.2"),
        (Resource.API_REQUESTS, 0, "0"),
    ],
)
def test_a_line_costs_its_list_price(resource: Resource, quantity: int, usd: str) -> None:
    assert PRICES[resource].nanousd(quantity) == int(Decimal(usd) * 10**9)


@given(AMOUNTS)
def test_a_bill_is_the_sum_of_its_lines_however_it_is_cut(
    amounts: dict[tuple[Resource, str], int],
) -> None:
    bill = Counts(amounts).bill()

    assert bill.nanousd == sum(line.nanousd for line in bill.lines)
    assert bill.nanousd == sum(bill.by_service().values()) == bill.of(*Resource)
    assert 0 <= bill.microusd * 1000 - bill.nanousd < 1000
    assert all(line.quantity for line in bill.lines)


@given(AMOUNTS, AMOUNTS)
def test_counts_add_up_and_rounding_never_makes_a_bill_smaller(
    one: dict[tuple[Resource, str], int], other: dict[tuple[Resource, str], int]
) -> None:
    both = Counts(one) + Counts(other)

    for resource in Resource:
        assert both.total(resource) == Counts(one).total(resource) + Counts(other).total(resource)
    apart = Counts(one).bill().nanousd + Counts(other).bill().nanousd
    assert both.bill().nanousd <= apart <= both.bill().nanousd + len(Resource) * 3


def test_a_fraction_of_a_unit_is_billed_as_one() -> None:
    assert Counts.of({Resource.SQS_REQUESTS: 3}).times(1.5).total(Resource.SQS_REQUESTS) == 5


def test_lambda_is_billed_by_function() -> None:
    counts = Counts({(Resource.INVOCATIONS, "api"): 2, (Resource.INVOCATIONS, "sweeper"): 1})

    assert [(line.what, line.quantity) for line in counts.bill().lines] == [
        ("api", 2),
        ("sweeper", 1),
    ]
    assert counts.bill().by_service() == {Service.LAMBDA: 600}
