"""The usage ledger in the simulation: its calls go through the network, and in the end it has what the steps used."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from ratchet.contracts.messages import TaskRef
from ratchet.domain.steps import StepRecord
from ratchet.domain.task import History
from ratchet.domain.usage import NOTHING, Account, Amounts, Counted, Part, Row
from ratchet.testing.store import InMemoryCheckpoints

if TYPE_CHECKING:
    from tests.simulation.ledger import Ledger
    from tests.simulation.world import World

T = TypeVar("T")
EVER: dict[str, Any] = {"first_day": "2025-12-01", "last_day": "2026-12-31"}


class UsageCalls:
    """The UsageLedger behind the network. Part of the simulation's CheckpointStore."""

    twin: InMemoryCheckpoints
    _read: Callable[[str, TaskRef | None, Callable[[], Any]], Any]
    _write: Callable[[str, TaskRef, Callable[[], Any]], Any]

    def counted(self, ref: TaskRef) -> Counted:
        found: Counted = self._read("counted", ref, lambda: self.twin.counted(ref))
        return found

    def count(self, ref: TaskRef, part: Part) -> bool:
        return bool(self._write("count", ref, lambda: self.twin.count(ref, part)))

    def usage(
        self, tenant: str, account: Account, *, first_day: str, last_day: str
    ) -> Iterator[Row]:
        raise NotImplementedError("no use case of the simulation reads the ledger")


@dataclass(slots=True)
class Spent:
    """What steps were seen to use when they were committed, by tenant, day and model: books of our own."""

    by_place: defaultdict[str, defaultdict[tuple[str, str], Amounts]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Amounts))
    )

    def committed(self, ref: TaskRef, record: StepRecord) -> None:
        """A step was added to a task."""
        result = record.result
        day = datetime.fromtimestamp(record.finished_at_ms / 1000, UTC).date().isoformat()
        step = Amounts(1 if result.model else 0, result.usage, result.charged.microusd)
        for other in result.others:
            share = Amounts(0, other.usage, other.cost_microusd)
            self.by_place[ref.tenant][day, other.model] += share
            step -= share
        self.by_place[ref.tenant][day, result.model or ""] += step


def judge_usage(ledger: "Ledger", world: "World") -> None:
    """All that was used, of erased tasks too, is in the usage ledger once: on its day, by its model, and by user."""
    for tenant, used in ledger.spent.by_place.items():
        if tenant in world.suspensions.erased:
            continue
        if world.story.robbed_at_ms:
            _judge_robbed(ledger, world, tenant)
            continue
        expected = {place: amounts for place, amounts in used.items() if amounts != NOTHING}
        counted: defaultdict[tuple[str, str], Amounts] = defaultdict(Amounts)
        for counter, amounts in world.store.twin.usage(tenant, Account.AGENT, **EVER):
            counted[counter.day, counter.model] += amounts
        if counted != expected:
            ledger.violate(f"I6: {tenant} used {expected}, and {dict(counted)} was counted")
        users = world.store.twin.usage(tenant, Account.USER, **EVER)
        together = sum((amounts for _, amounts in users), NOTHING)
        if together != sum(expected.values(), NOTHING):
            ledger.violate(f"I6: {tenant} used {expected}, and by user {together} was counted")


def judge_tokens(ledger: "Ledger", history: History) -> None:
    """What providers have charged a task is within its limit, and its totals have all of it.

    Of what was charged beside the last steps there is no later step to count it.
    """
    ref, totals, limit = history.task.ref, history.totals, history.task.limits.max_tokens
    used = sum(tokens for (task, _), tokens in ledger.used.items() if task == ref)
    if max(used, totals.tokens) > limit:
        ledger.violate(
            f"I6: {ref.task_id} used {used} tokens and counts {totals.tokens} of {limit}"
        )
    beside = 0
    for record in reversed(history.records):
        beside += max(0, ledger.used[ref, record.number] - record.result.charged.tokens)
        if record.result.model:
            break
    if used - beside > totals.tokens:
        ledger.violate(f"I6: {ref.task_id} used {used} tokens and counts {totals.tokens}")


def _judge_robbed(ledger: "Ledger", world: "World", tenant: str) -> None:
    """What a lost body told cannot be counted any more; nothing is counted beside what was used."""
    used = sum(ledger.spent.by_place[tenant].values(), NOTHING)
    for account in Account:
        counted = sum((a for _, a in world.store.twin.usage(tenant, account, **EVER)), NOTHING)
        if min(counted.steps, counted.cost_microusd) < 0 or any(
            mine > theirs for mine, theirs in zip(_figures(counted), _figures(used), strict=True)
        ):
            ledger.violate(f"I6: {tenant} used {used}, and by {account} {counted} was counted")


def _figures(amounts: Amounts) -> tuple[int, ...]:
    return amounts.steps, *astuple(amounts.usage), amounts.cost_microusd
