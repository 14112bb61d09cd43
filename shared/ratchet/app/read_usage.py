"""Read the usage ledger: what a tenant used, by day, model, agent, user or session."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from ratchet.contracts.limits import DEFAULT_USAGE_DAYS, MAX_USAGE_DAYS, MAX_USAGE_ROWS
from ratchet.contracts.names import UsageBy
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.usage import NOTHING, Account, Amounts, Counter, day_of
from ratchet.ports import CheckpointStore, Clock

_ACCOUNTS = {UsageBy.USER: Account.USER, UsageBy.SESSION: Account.SESSION}


@dataclass(frozen=True, slots=True)
class UsageReport:
    """What was used on these days, both included; `groups` in the order in which people read them."""

    first_day: str
    last_day: str
    by: UsageBy
    groups: tuple[tuple[str, Amounts], ...]

    @property
    def total(self) -> Amounts:
        """All groups together."""
        return sum((amounts for _, amounts in self.groups), NOTHING)


@dataclass(frozen=True, slots=True)
class ReadUsage:
    """The use case of `GET /v1/usage`."""

    store: CheckpointStore
    clock: Clock

    def __call__(
        self, tenant: str, *, first_day: str | None, last_day: str | None, by: UsageBy
    ) -> UsageReport:
        """What the tenant's tasks used, as far as they have been counted; days are in UTC, both included.

        Raises:
            InvalidRequest: the days are none, too many or in the wrong order, or there is too much to add up.
        """
        last = _day("to", last_day or day_of(self.clock.now_ms()))
        default = max(last.toordinal() - DEFAULT_USAGE_DAYS + 1, 1)
        first = _day("from", first_day) if first_day else date.fromordinal(default)
        _check_range(first, last)
        sums = self._sums(tenant, first=first.isoformat(), last=last.isoformat(), by=by)
        if by is UsageBy.SESSION:
            sums = self._with_others(sums, tenant, first=first.isoformat(), last=last.isoformat())
        groups = sorted(sums.items(), key=lambda group: _place(group, by))
        return UsageReport(first.isoformat(), last.isoformat(), by, tuple(groups))

    def _sums(self, tenant: str, *, first: str, last: str, by: UsageBy) -> dict[str, Amounts]:
        account = _ACCOUNTS.get(by, Account.AGENT)
        sums: defaultdict[str, Amounts] = defaultdict(Amounts)
        rows = self.store.usage(tenant, account, first_day=first, last_day=last)
        for seen, (counter, amounts) in enumerate(rows):
            if seen == MAX_USAGE_ROWS:
                raise InvalidRequest(
                    f"from, to: more than {MAX_USAGE_ROWS:,} counters lie between {first} and {last}; "
                    "ask for fewer days, or by agent or model"
                )
            sums[_group(counter, by)] += amounts
        return sums

    def _with_others(
        self, sums: Mapping[str, Amounts], tenant: str, *, first: str, last: str
    ) -> dict[str, Amounts]:
        """Sessions, and under "" what tasks without one used: they are not counted apart."""
        of_all = self._sums(tenant, first=first, last=last, by=UsageBy.DAY)
        total = sum(of_all.values(), NOTHING)
        others = total - sum(sums.values(), NOTHING)
        return dict(sums) if others == NOTHING else {**sums, "": others}


def _day(name: str, text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:  # 20261122 and 2026-W47-7 are days to Python
        raise InvalidRequest(f"{name}: {text[:40]!r} is no day; write it as 2026-11-22")
    return day


def _check_range(first: date, last: date) -> None:
    if first > last:
        raise InvalidRequest(f"from: {first} is after to={last}")
    if last - first >= timedelta(days=MAX_USAGE_DAYS):
        raise InvalidRequest(f"from, to: at most {MAX_USAGE_DAYS} days, both included")


def _group(counter: Counter, by: UsageBy) -> str:
    match by:
        case UsageBy.DAY:
            return counter.day
        case UsageBy.MODEL:
            return counter.model
        case UsageBy.AGENT | UsageBy.USER | UsageBy.SESSION:
            return counter.name


def _place(group: tuple[str, Amounts], by: UsageBy) -> tuple[int, str]:
    """Days in their order, everything else dearest first."""
    name, amounts = group
    return (0 if by is UsageBy.DAY else -amounts.cost_microusd), name
