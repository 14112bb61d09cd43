"""When a schedule fires: `rate(...)`, `cron(...)` or `at(...)` in a time zone, as EventBridge Scheduler has them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TypeAlias
from zoneinfo import ZoneInfo

from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.cron import Cron

DEFAULT_TIMEZONE = "UTC"
_CALL = re.compile(r"(rate|cron|at)\((.*)\)")
_RATE = re.compile(r"([1-9]\d{0,5}) (minute|hour|day)s?")
_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}


@dataclass(frozen=True, slots=True)
class Rate:
    """Again and again, after so many seconds."""

    seconds: int


@dataclass(frozen=True, slots=True)
class At:
    """Once, at this time of the schedule's time zone."""

    local: datetime


Expression: TypeAlias = Rate | At | Cron


def parse_expression(text: str) -> Expression:
    """What an expression says.

    Raises:
        InvalidRequest: EventBridge Scheduler knows no such expression.
    """
    found = _CALL.fullmatch(text)
    if found is None:
        raise InvalidRequest(
            f"schedule_expression: {text[:80]!r} is none; say rate(5 minutes), cron(0 9 ? * MON-FRI *) or "
            "at(2027-01-31T09:00:00)"
        )
    kind, inside = found.groups()
    if kind == "cron":
        return Cron.parse(inside)
    return _rate(inside) if kind == "rate" else _at(inside)


def zone_of(name: str) -> tzinfo:
    """The time zone of an IANA name.

    Raises:
        InvalidRequest: there is none of that name.
    """
    if name == DEFAULT_TIMEZONE:
        return UTC
    try:
        if _ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # a folder of the database is none, such as Europe
        pass
    raise InvalidRequest(f"timezone: {name[:80]!r} is no IANA time zone, such as Europe/Berlin")


def _rate(inside: str) -> Rate:
    found = _RATE.fullmatch(inside)
    if found is None:
        raise InvalidRequest(
            f"schedule_expression: rate({inside[:40]}) is none; say a whole number from 1 and minutes, hours or days, "
            "as in rate(5 minutes)"
        )
    return Rate(int(found[1]) * _SECONDS[found[2]])


def _at(inside: str) -> At:
    try:
        if _AT.fullmatch(inside):
            return At(datetime.fromisoformat(inside))
    except ValueError:  # such as the 31st of June
        pass
    raise InvalidRequest(
        f"schedule_expression: at({inside[:40]}) is none; say a time as in at(2027-01-31T09:00:00), without an offset: "
        "`timezone` says where"
    )
