"""The stories of operators: tenants that are suspended and erased, people who are forgotten, and batches."""

from dataclasses import replace
from random import Random

from tests.simulation.recollections import KEEPER
from tests.simulation.story import (
    HOUR_MS,
    Cancel,
    Forget,
    Fork,
    Resume,
    Story,
    Submit,
    SubmitBatch,
    Suspend,
)

S = "talk"
STORIES = (
    Story(
        "suspended",
        (Submit("look;pay", webhook=True), Suspend(at_ms=250)),
        steps_per_execution=2,
    ),
    Story(
        "suspended-verbs",
        (
            Submit(""),
            Resume(after_ms=20),
            Fork(after_ms=40),
            Suspend(at_ms=450, resumes_after_ms=15_000),
        ),
        rejecting_ms=400,
    ),
    Story(
        "suspended-late",  # its deadline passes meanwhile
        (
            Submit("look", deadline_seconds=60),
            Suspend(at_ms=250, resumes_after_ms=HOUR_MS),
        ),
    ),
    Story("suspended-erased", (Submit("look;pay"), Suspend(at_ms=250, erases=True))),
    Story(
        "erased-in-line",
        (
            Submit("look;look", key="a"),
            Submit("look", key="b", at_ms=20),
            Submit("", tenant="globex", at_ms=1_190_000),  # while the other still holds the slot
            Suspend(at_ms=250, erases=True),
        ),
        max_running=1,
        inline_bytes=0,
    ),
    Story("batch", (SubmitBatch(("look", "")), SubmitBatch(("look", ""), at_ms=15))),
    Story(
        "forgotten-session",
        (
            Submit("", key="a", session=S),
            Submit("", key="b", at_ms=20, session=S),
            Cancel(1, at_ms=480),
            Forget(1, session=S, after_ms=5),
        ),
    ),
    Story(
        "forgotten-user",
        (Submit("remember", agent=KEEPER, session=S), Forget(after_ms=5)),
    ),
    Story(
        "forgotten-once",
        (Submit("pay", session=S), Forget(session=S, after_ms=20_000, persistent=False)),
        inline_bytes=0,
    ),
)

ONE_DAY_IN = 20
"""Random days on which they are open."""
SUSPENDED_MS = (100, 20_000, 20_000, 600_000, 3 * HOUR_MS, 26 * HOUR_MS)
"""The last is longer than the deadline of most tasks."""


def open_some_days(dice: Random, story: Story) -> Story:
    """On some days a tenant is suspended or erased, or somebody wants to be forgotten."""
    is_open = dice.randrange(ONE_DAY_IN) == 0
    return opened(dice, story) if is_open else story


def opened(dice: Random, story: Story) -> Story:
    """The same day with one more act, that has to do with one of its tasks."""
    submits = [act for act in story.acts if isinstance(act, Submit)]
    of = dice.randrange(len(submits))
    kind = dice.choice(("suspended", "erased", "forgotten"))
    act = (
        _forgotten(dice, of, submits[of]) if kind == "forgotten" else _suspended(dice, submits[of])
    )
    if isinstance(act, Suspend):
        act = replace(act, erases=kind == "erased")
    return replace(story, acts=(*story.acts, act))


def _suspended(dice: Random, submit: Submit) -> Suspend:
    mean_ms = dice.choice((300, 300, 60_000))
    return Suspend(
        at_ms=submit.at_ms + int(dice.expovariate(1 / mean_ms)),
        tenant=submit.tenant,
        resumes_after_ms=dice.choice(SUSPENDED_MS),
    )


def _forgotten(dice: Random, of: int, submit: Submit) -> Forget:
    return Forget(
        of,
        after_ms=dice.choice((0, 5, 1_000, 60_000)),
        session=submit.session if dice.random() < 0.8 else None,
        persistent=dice.random() < 0.8,
    )
