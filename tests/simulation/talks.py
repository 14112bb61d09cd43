"""The stories of sessions: tasks that share history and run one after the other."""

from dataclasses import replace
from random import Random

from tests.simulation.story import Cancel, Resume, Story, Submit, Visit

S = "talk"
STORIES = (
    Story(
        "talk",
        (
            Submit("look", key="a", session=S),
            Submit("put", key="b", at_ms=14, session=S),
            Submit("", key="c", at_ms=30, session=S),
        ),
    ),
    Story(
        "talk-rejected",
        (
            Submit("look", key="a", session=S),
            Submit("", key="b", at_ms=100, session=S, on_conflict="reject"),
            Submit("", key="c", at_ms=5_000, session=S, on_conflict="reject"),
        ),
    ),
    Story(
        "talk-rejected-late",  # the one before has failed, and nobody has heard of it yet
        (
            Submit("", key="a", session=S),
            Submit("", key="b", at_ms=310, session=S, on_conflict="reject"),
        ),
        rejecting_ms=400,
    ),
    Story(
        "talk-robbed",
        (
            Submit("", key="a", session=S),
            Submit("", key="b", at_ms=150, session=S, on_conflict="reject"),
        ),
        rejecting_ms=300,
        inline_bytes=0,
        robbed_at_ms=120,
    ),
    Story(
        "talk-interrupted",
        (
            Submit("look;pay;look", key="a", session=S),
            Submit("put", key="b", at_ms=20, session=S),
            Submit("look", key="c", at_ms=260, session=S, on_conflict="interrupt"),
        ),
    ),
    Story(
        "talk-interrupted-late",
        (
            Submit("look;pay;look", key="a", session=S),
            Submit("look", key="b", at_ms=200, session=S, on_conflict="interrupt"),
        ),
        spares_holders=True,
    ),
    Story(
        "talk-rolled-back",
        (
            Submit("look;pay;look", key="a", session=S),
            Submit("look", key="b", at_ms=260, session=S, on_conflict="rollback"),
            Submit("", key="c", at_ms=270, session=S),
        ),
    ),
    Story(
        "talk-cancelled",
        (
            Submit("look;look", key="a", session=S),
            Submit("look", key="b", at_ms=20, session=S),
            Submit("", key="c", at_ms=30, session=S),
            Cancel(1, at_ms=250),
            Cancel(0, at_ms=280),
        ),
    ),
    Story(
        "talk-resumed",
        (
            Submit("", key="a", session=S),
            Submit("look", key="b", at_ms=20, session=S),
            Resume(after_ms=50),
        ),
        rejecting_ms=350,
    ),
    Story(
        "talk-asked",
        (
            Submit("pay", key="a", session=S),
            Submit("look", key="b", at_ms=20, session=S),
        ),
        visits=(Visit(100),),
        silent_calls=1,
    ),
    Story(
        "talk-in-one-place",
        (
            Submit("look", key="a", session=S),
            Submit("put", key="b", at_ms=10, session=S),
            Submit("look", key="c", at_ms=12),
        ),
        tenant_running=1,
        inline_bytes=0,
    ),
)

POLICIES = (None, None, "enqueue", "reject", "interrupt", "rollback")


def in_sessions(dice: Random, story: Story) -> Story:
    """On one day of four the tasks of each tenant are one talk, or two."""
    if dice.random() < 0.75:
        return story
    talks = dice.choice((("s",), ("s",), ("s", None), ("s", "t")))
    acts = [_talking(dice, act, talks) if isinstance(act, Submit) else act for act in story.acts]
    return replace(story, acts=tuple(acts))


def _talking(dice: Random, act: Submit, talks: tuple[str | None, ...]) -> Submit:
    session, policy = dice.choice(talks), dice.choice(POLICIES)
    return replace(act, session=session, on_conflict=policy if session else None)
