"""The mix of 200 tasks that the routes are compared on: what each task asks of its models, told by its seed.

Made up, since nobody's tasks may be committed: short and long ones as agents meet them (half need at most three rounds
of tools, one in ten some twenty), simple and complex ones, and rounds that a model gets wrong. How often a model gets a
round wrong is an assumption, stated in `ERRORS`; what that costs (repairs, escalation, a failed task) is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from ratchet.contracts.names import Complexity

TASKS = 200
SEED = 2_026_1122
ERRORS = {
    ("gpt-4o-mini", Complexity.SIMPLE): 0.01,
    ("gpt-4o-mini", Complexity.COMPLEX): 0.06,
    ("gpt-4o", Complexity.SIMPLE): 0.002,
    ("gpt-4o", Complexity.COMPLEX): 0.01,
}
"""The share of rounds whose answers of that model nothing can be done with, however often it is asked again."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of tools: the size of what the model says and of what comes back, and who gets it wrong."""

    said_chars: int
    result_chars: int
    lost_on: frozenset[str]


@dataclass(frozen=True, slots=True)
class MixTask:
    """One task of the mix."""

    number: int
    complexity: Complexity
    goal_chars: int
    rounds: Sequence[Round]
    answer_chars: int


def task_mix(tasks: int = TASKS, seed: int = SEED) -> list[MixTask]:
    """The same tasks for the same seed."""
    return [_task(number, Random(f"{seed}/{number}")) for number in range(tasks)]


def _task(number: int, dice: Random) -> MixTask:
    complexity = Complexity.COMPLEX if dice.random() < 0.3 else Complexity.SIMPLE
    most = dice.choice((1, 2, 3, 3, 3, 5, 6, 9, 14, 25))
    rounds = [_round(complexity, dice) for _ in range(dice.randint(max(1, most * 3 // 4), most))]
    return MixTask(
        number=number,
        complexity=complexity,
        goal_chars=int(dice.lognormvariate(6.0, 0.8)),
        rounds=rounds,
        answer_chars=int(dice.lognormvariate(6.8, 0.6)),
    )


def _round(complexity: Complexity, dice: Random) -> Round:
    luck = dice.random()
    lost = {
        model for (model, level), share in ERRORS.items() if level is complexity and luck < share
    }
    return Round(
        said_chars=int(dice.lognormvariate(5.3, 0.6)),
        result_chars=min(20_000, int(dice.lognormvariate(7.0, 0.9))),
        lost_on=frozenset(lost),
    )
