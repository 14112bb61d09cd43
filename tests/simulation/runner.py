"""Spreads the work over processes: each piece is a pure function of its arguments."""

import gc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import count, islice
from multiprocessing import get_context
from random import Random

from tests.simulation.alike import differ, last_of, played_for, trace, weight
from tests.simulation.explore import (
    Figures,
    count_following,
    failure_of,
    following_plans,
    play,
    play_random,
    single_plans,
)
from tests.simulation.faults import Fault, Place, Plan
from tests.simulation.handlers import installed
from tests.simulation.kill_lines import STORIES, Moments, chosen, kill
from tests.simulation.scenarios import (
    COMPLETE,
    SCENARIOS,
    is_of_several,
    random_story,
    tasks_of,
)
from tests.simulation.story import Story
from tests.simulation.world import World

MAX_FAILURES = 5
PIECE = 250
PAIRS_OF_A_PIECE = 2_000
COMPARED = 0.02
"""Of that share of the two-fault plans that stand for others, one of these is played, too."""
ALL_PLAYED = 250
"""In stories with more plans of one fault than this, one that stands for others is played for them. A call site's first
of a kind is played all the same, and COMPARED of the rest."""


@dataclass(frozen=True, slots=True)
class Dice:
    """So many random schedules, from a seed on; of those of several tasks, one seed in so many."""

    first: int
    count: int
    one_in: int = 1

    def stories(self) -> Iterator[Story]:
        """What the schedules tell."""
        return islice(filter(None, map(self._story, count(self.first))), self.count)

    def _story(self, seed: int) -> Story | None:
        """The story of that seed, if it is played."""
        is_always_played = seed % self.one_in == 0
        if not is_always_played and is_of_several(seed):
            return None
        story = random_story(seed)
        return story if is_always_played or tasks_of(story) == 1 else None


@dataclass(frozen=True, slots=True)
class Singles:
    """All plans of one fault of a story."""

    story: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """Plans of two faults whose first fault is one of these, or of a share of them; of each, that share is tried."""

    story: int
    first: int
    count: int
    share_of_firsts: float
    share: float
    seed: int


@dataclass(frozen=True, slots=True)
class Kills:
    """A story with its processes killed at some of their lines."""

    story: int
    moments: Moments


Piece = Dice | Singles | Pairs | Kills


def story_of(number: int) -> Story:
    """The story of that number."""
    return SCENARIOS[number]


def run_piece(piece: Piece) -> Figures:
    """Do a piece of the work."""
    _spare_the_collector()
    figures = Figures()
    with installed():
        for world in _worlds(piece, figures):
            if world.ledger.violations and len(figures.failures) < MAX_FAILURES:
                figures.failures.append(failure_of(world))
            figures.violations += bool(world.ledger.violations)
            world.take_apart()
    gc.collect()
    return figures


@cache
def _spare_the_collector() -> None:
    """Worlds are taken apart by hand; what is left is looked for once a piece, and not among the modules."""
    gc.disable()
    gc.collect()
    gc.freeze()


def _worlds(piece: Piece, figures: Figures) -> Iterator[World]:
    match piece:
        case Dice():
            for story in piece.stories():
                yield play_random(story, figures)
        case Singles():
            yield from _singles(piece, figures)
        case Pairs():
            yield from _pairs(piece, figures)
        case Kills():
            for world in kill(story_of(piece.story), piece.moments, figures):
                figures.count(world)
                yield world


def _singles(piece: Singles, figures: Figures) -> Iterator[World]:
    """Those that come to the same are played, too: what is left out relies on it."""
    story = story_of(piece.story)
    plans = list(single_plans(story, figures))
    dice, seen = Random(story.name), set[tuple[str, Fault]]()
    traces: dict[frozenset[tuple[Place, Fault]], tuple[object, ...]] = {}
    for plan in plans:
        figures.singles[story.name] += 1
        (((site, _), fault),) = plan.items()
        is_new = (site, fault) not in seen
        seen.add((site, fault))
        is_left_out = len(plans) > ALL_PLAYED and not weight(plan) and not is_new
        if is_left_out and dice.random() >= COMPARED:
            continue
        world = play(story, plan, figures)
        figures.pairs[story.name] += weight(plan) * count_following(world)
        played = played_for(plan)
        if played != plan or weight(plan) > 1:
            same = traces.setdefault(frozenset(played.items()), trace(world))
            if trace(world) != same:
                world.ledger.violate(differ(plan, played))
        yield world


def _pairs(piece: Pairs, figures: Figures) -> Iterator[World]:
    story = story_of(piece.story)
    dice = Random(f"{piece.seed}/{story.name}/{piece.first}")
    plans = list(single_plans(story))[piece.first : piece.first + piece.count]
    for plan in plans:
        if not weight(plan) or dice.random() >= piece.share_of_firsts:
            continue
        following = following_plans(play(story, plan))
        for pair in [p for p in following if weight(p) and dice.random() < piece.share]:
            figures.two_fault_plans[story.name] += weight(pair)
            figures.two_fault_plays += 1
            world = play(story, pair, figures)
            if dice.random() < COMPARED:
                _compare(world, last_of(pair))
            yield world


def _compare(world: World, plan: Plan) -> None:
    """Play another of the plans that a plan stands for: it must be the same schedule."""
    if plan != world.injector.plan and trace(play(world.story, plan)) != trace(world):
        world.ledger.violate(differ(plan, world.injector.plan))


def run_all(pieces: Iterable[Piece], processes: int, tell: Callable[[Figures], None]) -> Figures:
    """Do all pieces."""
    total = Figures()
    context = get_context("spawn")  # fork copies threads' locks
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        for figures in pool.map(run_piece, list(pieces)):
            total.add(figures)
            tell(total)
    return total


def dice_pieces(first_seed: int, schedules: int, *, one_in: int = 1) -> list[Piece]:
    """Random schedules, cut up. Each piece has seeds of its own: no more are passed over than `one_in` says."""
    starts = range(0, schedules, PIECE)
    return [Dice(first_seed + at * one_in, min(PIECE, schedules - at), one_in) for at in starts]


def single_pieces() -> list[Piece]:
    """All one-fault plans of all stories."""
    return [Singles(number) for number in range(len(SCENARIOS))]


def run_kills(
    processes: int, tell: Callable[[Figures], None], *, stories_of_a_line: int
) -> Figures:
    """Kill processes at every line that any story reaches, each in so many stories."""
    total = Figures()
    numbers = {story.name: n for n, story in enumerate(SCENARIOS) if story.name in STORIES}
    with installed():
        plan = chosen([story_of(n) for n in numbers.values()], total, most=stories_of_a_line)
    pieces = [Kills(numbers[name], moments) for name, moments in plan.items()]
    total.add(run_all(pieces, processes, tell))
    return total


def pair_pieces(singles: Figures, *, most: int, seed: int) -> list[Piece]:
    """Two-fault plans: all of the stories in COMPLETE, a sample of about `most` of each other one; 0: none of any."""
    pieces: list[Piece] = []
    for number, story in enumerate(SCENARIOS):
        plans, firsts = singles.pairs[story.name], singles.singles[story.name]
        share = _share(story, plans, most)
        if share:
            of_firsts = 1.0 if story.name in COMPLETE else min(1.0, most / firsts)
            step = max(1, round(PAIRS_OF_A_PIECE * firsts / (share * plans)))
            pieces += [
                Pairs(number, at, step, of_firsts, share / of_firsts, seed)
                for at in range(0, firsts, step)
            ]
    return pieces


def _share(story: Story, count: int, most: int) -> float:
    if not count or not most:
        return 0.0
    return 1.0 if story.name in COMPLETE else min(1.0, most / count)
