"""rate, cron and at."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.cron import Cron
from ratchet.domain.schedule_expression import At, Rate, parse_expression, zone_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rate(1 minute)", Rate(60)),
        ("rate(1 minutes)", Rate(60)),
        ("rate(2 hours)", Rate(7_200)),
        ("rate(30 days)", Rate(30 * 86_400)),
        ("at(2027-01-31T09:00:00)", At(datetime(2027, 1, 31, 9))),
        ("cron(0 9 ? * MON-FRI *)", Cron.parse("0 9 ? * MON-FRI *")),
    ],
)
def test_what_eventbridge_knows_is_known(text: str, expected: object) -> None:
    assert parse_expression(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "every day",
        "rate(0 minutes)",
        "rate(30 seconds)",
        "rate(1.5 hours)",
        "rate(-1 hours)",
        "rate(1)",
        "RATE(1 minute)",
        "rate(1 minute) ",
        "0 9 ? * MON-FRI *",
        "cron(0 9 ? * MON-FRI *",
        "at(2027-01-31)",
        "at(2027-02-31T09:00:00)",
        "at(2027-01-31T09:00:00Z)",
        "at(2027-01-31T24:00:01)",
        "at()",
    ],
)
def test_what_it_does_not_know_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"schedule_expression: .*(rate|at|cron)\("):
        parse_expression(text)


@given(st.text(max_size=60) | st.from_regex(r"(rate|cron|at)\(.{0,40}\)", fullmatch=True))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        parse_expression(text)
    except InvalidRequest:
        return


def test_time_zones_have_iana_names() -> None:
    assert zone_of("UTC") is UTC
    summer = datetime(2026, 7, 1, 12, tzinfo=zone_of("Europe/Berlin"))
    assert summer.astimezone(UTC).hour == 10
    for name in ("Europe", "Mars/Olympus", "../etc/passwd", "", "a" * 50, "UTC\x00", "/UTC"):
        with pytest.raises(InvalidRequest, match="no IANA time zone"):
            zone_of(name)
