"""How hard a task is rated, and by whom: its caller, else its planning step, else, without one, a heuristic."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ratchet.contracts.names import Complexity, ComplexitySource, StepType
from ratchet.domain.steps import Step, StepResult

LONG_GOAL_CHARS = 1_500
MANY_DEMANDS = 4
MANY_TOOLS = 10

_DEMAND = re.compile(r"^\s*(?:[-*\u2022]|\d+[.)])\s+\S|[?\uff1f]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rating:
    """What a task was rated when it was made; it holds for all its steps, whatever a plan says later."""

    complexity: Complexity
    source: ComplexitySource


def rate(asked: Complexity | None, *, goal: str, first_step: Step, tools: int = 0) -> Rating | None:
    """The rating of a new task; None when its own planning step is to rate it."""
    if asked is not None:
        return Rating(asked, ComplexitySource.CALLER)
    if first_step.type is StepType.PLANNING:
        return None
    return Rating(guess(goal, tools=tools), ComplexitySource.HEURISTIC)


def guess(goal: str, *, tools: int) -> Complexity:
    """`complex` when two of three signs say so: a long goal, several demands in it, many tools to choose from.

    Demands are list items and question marks. The signs do not depend on the language, cost nothing, and say little:
    one alone is not believed. A caller who knows better says so.
    """
    demands = len(_DEMAND.findall(goal))
    signs = [len(goal) >= LONG_GOAL_CHARS, demands >= MANY_DEMANDS, tools >= MANY_TOOLS]
    return Complexity.COMPLEX if sum(signs) >= 2 else Complexity.SIMPLE


def source_of(rating: Rating | None, before: Iterable[StepResult]) -> ComplexitySource | None:
    """Who rated a step that came after these; None while nobody has."""
    if rating is not None:
        return rating.source
    return ComplexitySource.PLAN if any(r.rating is not None for r in before) else None
