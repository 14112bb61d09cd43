"""The usage ledger: what a task's steps used, by day, agent, model and user. Pure.

What a step used is the difference between its running totals and those before it, so what is counted of a task adds up
to its totals whatever the steps were: to the token and to the micro-dollar.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from ratchet.domain.models import Usage
from ratchet.domain.steps import StepRecord, Totals
from ratchet.domain.task import History, Task

MAX_COUNTERS = 9
"""Of one transaction, beside the marker. AWS takes 100 writes, DynamoDB Local 10, and few of them seldom conflict."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """Steps, tokens and micro-dollars."""

    steps: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_microusd: int = 0

    @classmethod
    def of(cls, totals: Totals) -> "Amounts":
        """The running totals of a task."""
        return cls(totals.steps, totals.usage, totals.cost_microusd)

    def grown_to(self, totals: Totals) -> "Amounts":
        """These running totals, or these amounts where they are less: of a step whose body is lost the totals are too.

        What was counted was spent, and stays counted.
        """
        return Amounts(
            max(self.steps, totals.steps),
            self.usage.at_least(totals.usage),
            max(self.cost_microusd, totals.cost_microusd),
        )

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(
            self.steps + other.steps,
            self.usage + other.usage,
            self.cost_microusd + other.cost_microusd,
        )

    def __sub__(self, other: "Amounts") -> "Amounts":
        return Amounts(
            self.steps - other.steps,
            self.usage - other.usage,
            self.cost_microusd - other.cost_microusd,
        )


NOTHING = Amounts()


class Account(StrEnum):
    """What is counted apart. The values stand in keys."""

    AGENT = "AGENT"
    """An agent's calls of one model: days, agents and models are sums of these."""
    USER = "USER"
    SESSION = "SESSION"
    """Of tasks in sessions only: what the others used is what is left."""


@dataclass(frozen=True, slots=True)
class Counter:
    """What an agent used of a model on a day (UTC), or what was used for a user or in a session.

    `name` is the agent's, the user's or the session's, "" for tasks without a user; `model` is "" but for agents, and
    where none is known.
    """

    account: Account
    day: str
    name: str
    model: str = ""


Row = tuple[Counter, Amounts]
"""What one shard of a counter has counted."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How far a task has been counted: up to step `number`, which had used `amounts` with all before it."""

    number: int = 0
    amounts: Amounts = NOTHING


@dataclass(frozen=True, slots=True)
class Part:
    """Steps that are counted together: all of them or none, and only if the task stands at `before`."""

    before: Counted
    after: Counted
    counters: Mapping[Counter, Amounts]


def parts(task: Task, records: Iterable[StepRecord], counted: Counted) -> Iterator[Part]:
    """What the steps that follow `counted` add, in parts of at most `MAX_COUNTERS` counters; nothing if nothing."""
    before, after, sums = counted, counted, dict[Counter, Amounts]()
    for record in records:
        now = after.amounts.grown_to(record.totals)
        used = now - after.amounts
        if used == NOTHING:
            continue
        shares = shares_of(task, record, used)
        if len(sums.keys() | shares.keys()) > MAX_COUNTERS:
            yield Part(before, after, sums)
            before, sums = after, {}
        for counter, share in shares.items():
            sums[counter] = sums.get(counter, NOTHING) + share
        after = Counted(record.number, now)
    if sums:
        yield Part(before, after, sums)


def lump(tip: History, counted: Counted) -> Part:
    """What a task has used since, when its steps cannot be read any more: on the day of the last one, by no model."""
    last, now = tip.records[-1], counted.amounts.grown_to(tip.totals)
    used = now - counted.amounts
    unknown = Counter(Account.AGENT, day_of(last.finished_at_ms), tip.task.agent)
    user = Counter(Account.USER, unknown.day, tip.task.user_id or "")
    session = Counter(Account.SESSION, unknown.day, _session_of(tip.task))
    counters = {} if used == NOTHING else {unknown: used, user: used, session: used}
    if tip.task.session is None:
        counters.pop(session, None)
    return Part(counted, Counted(last.number, now), counters)


def shares_of(task: Task, record: StepRecord, used: Amounts) -> Mapping[Counter, Amounts]:
    """Where a step counts: on the day on which it finished, under each model that it asked.

    The step itself, and what it used that no other model did, is of the model whose answer it took.
    """
    day, rest = day_of(record.finished_at_ms), used
    shares = dict[Counter, Amounts]()
    for other in record.result.others:
        share = Amounts(0, other.usage, other.cost_microusd)
        shares[Counter(Account.AGENT, day, task.agent, other.model)] = share
        rest = rest - share
    shares[Counter(Account.AGENT, day, task.agent, record.result.model or "")] = rest
    shares[Counter(Account.USER, day, task.user_id or "")] = used
    if task.session is not None:
        shares[Counter(Account.SESSION, day, _session_of(task))] = used
    return {counter: share for counter, share in shares.items() if share != NOTHING}


def _session_of(task: Task) -> str:
    return task.session.session_id if task.session else ""


def day_of(ms: int) -> str:
    """The day in UTC, as 2026-11-22."""
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()
