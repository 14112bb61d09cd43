"""The stories in which few tasks may run at once: of a tenant, or in all."""

from dataclasses import replace
from random import Random

from tests.simulation.story import HOUR_MS, Cancel, Resume, Story, Submit, Visit

STORIES = (
    Story(
        "one-place",
        (Submit("look", key="a"), Submit("put", key="b", at_ms=14)),
        tenant_running=1,
    ),
    Story(
        "one-place-asked",
        (Submit("pay", key="a"), Submit("look;look;look", key="b", at_ms=20)),
        visits=(Visit(100),),
        silent_calls=1,
        tenant_running=1,
    ),
    Story(
        "one-place-unanswered",
        (Submit("pay", key="a"), Submit("look", key="b", at_ms=20)),
        visits=(),
        silent_calls=1,
        max_running=1,
        limit_ms=21 * 24 * HOUR_MS,  # a question is open for a week
    ),
    Story(
        "one-place-resumed",
        (Submit("look", key="a"), Submit("", key="b", at_ms=100), Resume(after_ms=50)),
        rejecting_ms=350,
        tenant_running=1,
    ),
    Story(
        "one-place-resumed-late",
        (Submit("", key="a"), Resume(after_ms=390_000)),
        outage_ms=HOUR_MS,
        tenant_running=1,
    ),
    Story(
        "one-place-cancel",
        (
            Submit("look;look", key="a"),
            Submit("look", key="b", at_ms=20),
            Submit("", key="c", at_ms=30, priority=9),
            Cancel(1, at_ms=250),
        ),
        max_running=1,
    ),
    Story(
        "one-place-robbed",
        (
            Submit("look;look", key="a"),
            Submit("", key="b", at_ms=20),
            Submit("", key="c", at_ms=40),
        ),
        inline_bytes=0,
        robbed_at_ms=150,
        tenant_running=1,
    ),
    Story(
        "one-place-restarts",
        (Submit("look;put", key="a"), Submit("", key="b", at_ms=20)),
        steps_per_execution=2,
        dying_executions=1,
        tenant_running=1,
    ),
    Story(
        "few-places",
        (
            Submit("look", tenant="acme"),
            Submit("look", tenant="globex", at_ms=10),
            Submit("look", tenant="initech", at_ms=20),
        ),
        throttled_ms=100_000,
        min_running=1,
        max_running=2,
    ),
)


def limited(dice: Random, story: Story) -> Story:
    """On one day of four few tasks may run at once, of a tenant or in all."""
    if dice.random() < 0.75:
        return story
    most = dice.choice((0, 1, 2, 3))
    acts = [
        replace(act, priority=dice.choice((None, 0, 9))) if isinstance(act, Submit) else act
        for act in story.acts
    ]
    return replace(
        story,
        acts=tuple(acts),
        tenant_running=dice.choice((1, 1, 2)) if most == 0 else dice.choice((0, 0, 1)),
        min_running=dice.randint(1, most) if most else 0,
        max_running=most,
    )
