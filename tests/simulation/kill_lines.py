"""Kill a process at a line of its own code: at each that a story reaches, in each function, the sweeper included."""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from tests.simulation.explore import Figures
from tests.simulation.faults import Fault, Injector
from tests.simulation.scheduler import Killed
from tests.simulation.story import Story
from tests.simulation.world import World

ROOT = Path(__file__).parents[2]
FILES = frozenset(
    str(path)
    for path in (
        *(ROOT / "shared" / "ratchet" / "app").glob("*.py"),
        *(ROOT / "functions").glob("*/handler.py"),
    )
)
ROLES = (
    "submit",
    "cancel",
    "resume",
    "decide",
    "fork",
    "dispatcher",
    "step_executor",
    "deliverer",
    "sweeper",
)
STORIES = (
    "planned",
    "structured",
    "unsafe-fickle",
    "verify",
    "answered",
    "unanswered",
    "abort",
    "resume-unsafe",
    "approved",
    "nobody-approves",
    "parallel",
    "cancel-running",
    "resume",
    "fork",
    "roll-over",
    "give-up",
    "erased",
    "summarized",
    "limit",
)
Line = tuple[str, int]
Moments = dict[str, list[int]]  # by role: at which of the lines that it comes to it is killed


class Tracer:
    """Counts the lines that processes of one role come to, and kills the process at one of them."""

    def __init__(self, world: World, role: str, kill_at: int = 0) -> None:
        self.lines: list[Line] = []
        self._world = world
        self._role = role
        self._kill_at = kill_at

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        """A function is called: watch it if it is ours and the process is of the role."""
        if frame.f_code.co_filename not in FILES:
            return None
        current = self._world.scheduler.current
        if current is None or current.life.role != self._role:
            return None
        return self._line

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        if event != "line":
            return self._line
        self.lines.append((frame.f_code.co_filename, frame.f_lineno))
        if len(self.lines) == self._kill_at:
            world = self._world
            world.injector.note(
                (f"{self._role}:line", self._kill_at), Fault.DIED_BEFORE, world.scheduler.now_ms
            )
            world.scheduler.me().life.is_dead = True
            raise Killed
        return self._line


def play_lines(story: Story, role: str, kill_at: int = 0) -> tuple[World, list[Line]]:
    """Run a story; the process of that role dies at its line of that number (0: none dies)."""
    world = World(story, Injector())
    tracer = Tracer(world, role, kill_at)
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        world.run()
    finally:
        sys.settrace(before)
    return world, tracer.lines


def chosen(stories: Sequence[Story], figures: Figures, *, most: int) -> dict[str, Moments]:
    """When to kill, by story: at each line that a role comes to in any, in the `most` shortest stories that reach it.

    Notes the lines in the figures.
    """
    moments_of: dict[str, Moments] = {story.name: {role: [] for role in ROLES} for story in stories}
    reached: dict[tuple[str, Line], list[tuple[int, str, list[int]]]] = defaultdict(list)
    for story in stories:
        for role in ROLES:
            world, lines = play_lines(story, role)
            for line, numbers in _moments(lines).items():
                reached[role, line].append((len(world.injector.calls), story.name, numbers))
    for (role, line), found in reached.items():
        figures.lines.add((role, *line))
        for _, name, numbers in sorted(found)[:most]:
            moments_of[name][role] += numbers
    return moments_of


def _moments(lines: list[Line]) -> dict[Line, list[int]]:
    """Where to kill: the first and the last time that the role comes to each line."""
    times: defaultdict[Line, list[int]] = defaultdict(list)
    for number, line in enumerate(lines, start=1):
        times[line].append(number)
    return {line: sorted({found[0], found[-1]}) for line, found in times.items()}


def kill(story: Story, moments: Moments, figures: Figures) -> Iterator[World]:
    """The story with each role killed at these moments."""
    for role, numbers in moments.items():
        for kill_at in sorted(set(numbers)):
            world, _ = play_lines(story, role, kill_at)
            figures.kills += 1
            yield world
