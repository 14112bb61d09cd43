"""Cron expressions of EventBridge: six fields, a year among them, and Sunday is 1.

What they mean is written down once, here: the API refuses what is none, and the local stack fires by it.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime
from typing import Self

from ratchet.contracts.request_errors import InvalidRequest

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_SATURDAY = 7
_PART = re.compile(r"(?P<first>\w+|\*)(?:-(?P<last>\w+))?(?:/(?P<every>\d+))?")


@dataclass(frozen=True, slots=True)
class Field:
    """One of the six: its name, the numbers that it takes, and the words that stand for them."""

    name: str
    least: int
    most: int
    words: tuple[str, ...] = ()

    def values(self, text: str) -> frozenset[int]:
        """The numbers that a list of values, ranges and steps stands for.

        Raises:
            InvalidRequest: it is no such list.
        """
        return frozenset(number for part in text.split(",") for number in self._part(part))

    def number(self, text: str) -> int:
        """One number, or the word for it.

        Raises:
            InvalidRequest: it is neither, or out of range.
        """
        word = text.upper()
        if word in self.words:
            return self.words.index(word) + 1
        if not text.isascii() or not text.isdigit() or not self.least <= int(text) <= self.most:
            raise self.refused(text)
        return int(text)

    def refused(self, text: str) -> InvalidRequest:
        """What to say about a text that this field cannot have."""
        words = f" or {self.words[0]}-{self.words[-1]}" if self.words else ""
        return InvalidRequest(
            f"schedule_expression: {text[:40]!r} is no {self.name}; it takes {self.least}-{self.most}{words}"
        )

    def _part(self, text: str) -> range:
        found = _PART.fullmatch(text)
        if found is None or (found["first"] == "*" and found["last"]):
            raise self.refused(text)
        every = int(found["every"] or 1)
        if found["first"] == "*":
            first, last = self.least, self.most
        else:
            first = self.number(found["first"])
            last = self.number(found["last"]) if found["last"] else first
            if found["every"] and not found["last"]:
                last = self.most
        if first > last or not 1 <= every <= self.most:
            raise self.refused(text)
        return range(first, last + 1, every)


MINUTES, HOURS = Field("minute", 0, 59), Field("hour", 0, 23)
DAYS, MONTHS = Field("day of month", 1, 31), Field("month", 1, 12, _MONTHS)
WEEKDAYS, YEARS = Field("day of week", 1, 7, _WEEKDAYS), Field("year", 1970, 2199)


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression. `days` and `weekdays` are texts, one of them `?`: what they mean depends on the month."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: str
    months: frozenset[int]
    weekdays: str
    years: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Self:
        """What stands between the brackets of `cron(...)`.

        Raises:
            InvalidRequest: it is no cron expression of EventBridge.
        """
        fields = text.split()
        if len(fields) != 6:
            raise InvalidRequest(
                f"schedule_expression: cron(...) has {len(fields)} fields; it takes six: "
                "minutes hours day-of-month month day-of-week year, as in cron(0 9 ? * MON-FRI *)"
            )
        minutes, hours, days, months, weekdays, years = fields
        if (days == "?") == (weekdays == "?"):
            raise InvalidRequest(
                "schedule_expression: of day-of-month and day-of-week exactly one must be ?, as in "
                "cron(0 9 ? * MON-FRI *) or cron(0 9 1 * ? *)"
            )
        cron = cls(
            MINUTES.values(minutes),
            HOURS.values(hours),
            days.upper(),
            MONTHS.values(months),
            weekdays.upper(),
            YEARS.values(years),
        )
        cron.days_of(2024, 1)  # refuses what is no day
        return cron

    def matches(self, local: datetime) -> bool:
        """Whether it fires in that minute of its own time zone."""
        return (
            local.minute in self.minutes
            and local.hour in self.hours
            and local.month in self.months
            and local.year in self.years
            and local.day in self.days_of(local.year, local.month)
        )

    def days_of(self, year: int, month: int) -> frozenset[int]:
        """The days of a month on which it fires."""
        if self.weekdays == "?":
            return _days_of_month(self.days, year, month)
        return _days_of_week(self.weekdays, year, month)


def _days_of_month(text: str, year: int, month: int) -> frozenset[int]:
    last = monthrange(year, month)[1]
    if text == "L":
        return frozenset({last})
    if text == "LW":
        return frozenset({_nearest_workday(year, month, last)})
    if text.endswith("W"):
        day = DAYS.number(text[:-1])
        return frozenset({_nearest_workday(year, month, day)} if day <= last else ())
    return frozenset(day for day in DAYS.values(text) if day <= last)


def _days_of_week(text: str, year: int, month: int) -> frozenset[int]:
    last = monthrange(year, month)[1]
    if text == "L":
        text = str(_SATURDAY)
    if text.endswith("L"):
        return frozenset(_all_of(WEEKDAYS.number(text[:-1]), year, month)[-1:])
    weekday, is_nth, place = text.partition("#")
    if is_nth:
        if place not in "12345" or not place:
            raise WEEKDAYS.refused(text)
        nth = int(place)
        return frozenset(_all_of(WEEKDAYS.number(weekday), year, month)[nth - 1 : nth])
    wanted = WEEKDAYS.values(text)
    return frozenset(day for day in range(1, last + 1) if _weekday(year, month, day) in wanted)


def _all_of(weekday: int, year: int, month: int) -> list[int]:
    last = monthrange(year, month)[1]
    return [day for day in range(1, last + 1) if _weekday(year, month, day) == weekday]


def _nearest_workday(year: int, month: int, day: int) -> int:
    """The day itself, or the Friday or Monday beside it, but in the same month."""
    weekday, last = _weekday(year, month, day), monthrange(year, month)[1]
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == 1:
        return day + 1 if day < last else day - 2
    return day


def _weekday(year: int, month: int, day: int) -> int:
    """As EventBridge counts them."""
    return date(year, month, day).isoweekday() % 7 + 1
