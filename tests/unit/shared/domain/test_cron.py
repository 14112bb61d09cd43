"""Cron expressions as EventBridge has them."""

from datetime import datetime, timedelta

import pytest

from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.cron import Cron

BEGIN = datetime(2026, 11, 1)  # a Sunday; 30 days


def days(text: str, *, month: datetime = BEGIN) -> list[int]:
    cron = Cron.parse(text)
    return sorted(cron.days_of(month.year, month.month))


def times(text: str, *, hours: int = 24) -> list[str]:
    cron = Cron.parse(text)
    moments = (BEGIN + timedelta(minutes=n) for n in range(hours * 60))
    return [f"{moment:%d %H:%M}" for moment in moments if cron.matches(moment)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 9 * * ? *", ["01 09:00"]),
        ("0/20 9 * * ? *", ["01 09:00", "01 09:20", "01 09:40"]),
        ("*/30 9-10 * * ? *", ["01 09:00", "01 09:30", "01 10:00", "01 10:30"]),
        ("5,7 0,23 * NOV ? 2026", ["01 00:05", "01 00:07", "01 23:05", "01 23:07"]),
        ("10-14/2 0 ? * sun *", ["01 00:10", "01 00:12", "01 00:14"]),
        ("0 9 ? * MON *", []),
        ("0 9 * DEC ? *", []),
        ("0 9 * * ? 2027-2030", []),
    ],
)
def test_it_fires_in_the_minutes_that_its_fields_name(text: str, expected: list[str]) -> None:
    assert times(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 0 L * ? *", [30]),
        ("0 0 LW * ? *", [30]),  # a Monday
        ("0 0 1W * ? *", [2]),  # the 1st is a Sunday
        ("0 0 7W * ? *", [6]),  # a Saturday
        ("0 0 15W * ? *", [16]),
        ("0 0 31W * ? *", []),
        ("0 0 31 * ? *", []),
        ("0 0 */10 * ? *", [1, 11, 21]),
        ("0 0 ? * 2#1 *", [2]),
        ("0 0 ? * SUN#5 *", [29]),
        ("0 0 ? * TUE#5 *", []),
        ("0 0 ? * 6L *", [27]),
        ("0 0 ? * FRIL *", [27]),
        ("0 0 ? * L *", [7, 14, 21, 28]),
        ("0 0 ? * MON-FRI *", [d for d in range(1, 31) if BEGIN.replace(day=d).weekday() < 5]),
        ("0 0 ? * 1,7 *", [1, 7, 8, 14, 15, 21, 22, 28, 29]),
    ],
)
def test_it_fires_on_the_days_that_its_fields_name(text: str, expected: list[int]) -> None:
    assert days(text) == expected


def test_the_nearest_workday_stays_in_its_month() -> None:
    assert days("0 0 1W * ? *", month=datetime(2026, 8, 1)) == [3]  # a Saturday
    assert days("0 0 31W * ? *", month=datetime(2027, 1, 1)) == [29]  # a Sunday
    assert days("0 0 LW * ? *", month=datetime(2027, 2, 1)) == [26]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 9 * * ?", "has 5 fields"),
        ("", "has 0 fields"),
        ("0 9 * * * *", "exactly one must be"),
        ("0 9 ? * ? *", "exactly one must be"),
        ("60 9 * * ? *", "'60' is no minute; it takes 0-59"),
        ("0 24 * * ? *", "is no hour"),
        ("0 9 32 * ? *", "is no day of month"),
        ("0 9 * 13 ? *", "is no month"),
        ("0 9 ? * 0 *", "is no day of week; it takes 1-7 or SUN-SAT"),
        ("0 9 ? * MON#6 *", "is no day of week"),
        ("0 9 ? * MON# *", "is no day of week"),
        ("0 9 * * ? 1969", "is no year"),
        ("0/0 9 * * ? *", "is no minute"),
        ("5-1 9 * * ? *", "is no minute"),
        ("*-3 9 * * ? *", "is no minute"),
        ("0,,1 9 * * ? *", "is no minute"),
        ("٣ 9 * * ? *", "is no minute"),
        ("0 9 XW * ? *", "is no day of month"),
        ("0 9 * JANUARY ? *", "is no month"),
    ],
)
def test_what_is_no_expression_is_refused_with_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        Cron.parse(text)
