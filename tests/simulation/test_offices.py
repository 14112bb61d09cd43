"""RELIABILITY.md, row 63: a tenant is suspended, and erased, at every moment of its tasks."""

from dataclasses import replace

import pytest

from tests.simulation.explore import play
from tests.simulation.handlers import installed
from tests.simulation.offices import STORIES
from tests.simulation.story import Story, Suspend

EVERY_MS = 10
"""How long a call takes: so there is one moment for each."""
OVER_MS = 900
"""When the task of these stories has ended and was announced."""


@pytest.mark.parametrize("name", ["suspended", "suspended-erased"])
def test_a_tenant_may_be_suspended_at_every_call_of_its_tasks(name: str) -> None:
    story = next(story for story in STORIES if story.name == name)
    with installed():
        for at_ms in range(0, OVER_MS, EVERY_MS):
            world = play(_at(story, at_ms), {})
            assert world.ledger.violations == [], f"suspended after {at_ms} ms"


def _at(story: Story, at_ms: int) -> Story:
    acts = (replace(act, at_ms=at_ms) if isinstance(act, Suspend) else act for act in story.acts)
    return replace(story, acts=tuple(acts))
