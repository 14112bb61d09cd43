"""Runs stories with faults: all plans of one and two, or as the dice say; shrinks what fails."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.simulation.faults import KINDS, Fault, Injector, Place, Plan, plan_to_json
from tests.simulation.scenarios import random_story
from tests.simulation.story import Story
from tests.simulation.world import World

RATES = (0.02, 0.05, 0.12, 0.25)
CALM_MS = (5_000, 60_000, 600_000, 1_500_000)
"""Until when the dice throw faults: some for seconds, some until the last attempt that is waited for must be dead."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A story that broke a promise, with as few faults as it takes."""

    story: str
    seed: int | None
    plan: dict[str, str]
    violations: tuple[str, ...]


@dataclass
class Figures:
    """What was tried, and what came of it."""

    schedules: int = 0
    faults: int = 0
    calls: int = 0
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    states: set[str] = field(default_factory=set)
    longest_recovery_ms: int = 0
    violations: int = 0  # schedules that broke a promise
    failures: list[Failure] = field(default_factory=list)
    singles: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)  # how many two-fault plans there are
    two_fault_plans: Counter[str] = field(default_factory=Counter)  # how many were tried
    two_fault_plays: int = 0  # fewer: plans that come to the same faults are played once
    kills: int = 0  # processes killed at a line
    lines: set[tuple[str, str, int]] = field(default_factory=set)  # role, file, line

    @property
    def complete(self) -> list[str]:
        """The stories of which every plan of two faults was tried."""
        tried = self.two_fault_plans
        return [name for name, count in self.pairs.items() if count and tried[name] == count]

    def add(self, other: "Figures") -> None:
        """Both together."""
        self.schedules += other.schedules
        self.faults += other.faults
        self.calls += other.calls
        self.cells += other.cells
        self.states |= other.states
        self.longest_recovery_ms = max(self.longest_recovery_ms, other.longest_recovery_ms)
        self.violations += other.violations
        self.failures += other.failures
        self.singles += other.singles
        self.pairs += other.pairs
        self.two_fault_plans += other.two_fault_plans
        self.two_fault_plays += other.two_fault_plays
        self.kills += other.kills
        self.lines |= other.lines

    def count(self, world: World) -> None:
        """One more schedule."""
        injector = world.injector
        self.schedules += 1
        self.calls += len(injector.calls)
        self.faults += len(injector.injected)
        for (site, _), fault in injector.injected.items():
            self.cells[site, fault.value] += 1
        self.states |= world.ledger.states
        self.longest_recovery_ms = max(self.longest_recovery_ms, world.ledger.longest_recovery_ms)


def play(story: Story, plan: Plan, figures: Figures | None = None) -> World:
    """Run a story with these faults."""
    world = World(story, Injector(plan))
    _run(world)
    if figures is not None:
        figures.count(world)
    return world


def play_dice(seed: int, figures: Figures | None = None) -> World:
    """Run the random schedule of this seed."""
    return play_random(random_story(seed), figures)


def play_random(story: Story, figures: Figures | None = None) -> World:
    """Run a random story with the faults that its seed throws."""
    if story.seed is None:
        raise ValueError(f"{story.name} has no dice")
    dice = Random(story.seed * 2)
    injector = Injector()
    injector.roll(dice, rate=dice.choice(RATES), until_ms=dice.choice(CALM_MS))
    world = World(story, injector)
    _run(world)
    if figures is not None:
        figures.count(world)
    return world


def _run(world: World) -> None:
    """An error of the simulation itself, or one that our code never raises, is a violation too."""
    try:
        world.run()
    except Exception as exc:  # noqa: BLE001
        world.ledger.violate(f"the simulation failed: {exc!r}")


def shrink(story: Story, plan: Plan) -> dict[Place, Fault]:
    """Drop faults one by one while the story still fails."""
    small = dict(plan)
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for place in list(small):
            less = {p: f for p, f in small.items() if p != place}
            if play(story, less).ledger.violations:
                small, is_smaller = less, True
                break
    return small


def failure_of(world: World) -> Failure:
    """What to keep of a failed schedule."""
    story = world.story
    plan: Plan = dict(world.injector.injected)
    violations = tuple(world.ledger.violations)
    if len(plan) <= 60 and play(story, plan).ledger.violations:
        plan = shrink(story, plan)
        violations = tuple(play(story, plan).ledger.violations)
    return Failure(story.name, story.seed, plan_to_json(plan), violations)


def single_plans(story: Story, figures: Figures | None = None) -> Iterator[dict[Place, Fault]]:
    """Every plan of one fault."""
    world = play(story, {}, figures)
    yield from ({place: fault} for place, fault in _cells(world.injector.calls))


def following_plans(world: World) -> Iterator[dict[Place, Fault]]:
    """Every plan that adds one fault after the last of this world's."""
    plan = dict(world.injector.plan)
    for place in _following(world):
        for fault in KINDS[place[0]]:
            yield {**plan, place: fault}


def count_following(world: World) -> int:
    """How many plans follow this world's."""
    return sum(len(KINDS[site]) for site, _ in _following(world))


def _following(world: World) -> Iterator[Place]:
    """Where calls were made after the last fault of this world's plan."""
    left = set(world.injector.plan)
    for place in _places(world.injector.calls):
        if left:
            left.discard(place)
        else:
            yield place


def _places(calls: Iterable[str]) -> Iterator[Place]:
    seen: Counter[str] = Counter()
    for site in calls:
        seen[site] += 1
        yield site, seen[site]


def _cells(calls: Iterable[str]) -> Iterator[tuple[Place, Fault]]:
    return ((place, fault) for place in _places(calls) for fault in KINDS[place[0]])


def as_json(failure: Failure) -> dict[str, Any]:
    """A failure as it is kept."""
    return {
        "story": failure.story,
        "seed": failure.seed,
        "plan": failure.plan,
        "violations": list(failure.violations),
    }
