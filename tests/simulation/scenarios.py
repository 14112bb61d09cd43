"""The stories whose fault plans are all tried, and random ones."""

from dataclasses import replace
from random import Random

from ratchet.contracts.limits import INLINE_BODY_BYTES
from tests.simulation import offices, places, recollections, talks
from tests.simulation.story import (
    HOUR_MS,
    Act,
    Cancel,
    Fork,
    Redeliver,
    Resume,
    Says,
    Story,
    Submit,
    Trespass,
    Visit,
)

NOBODY: tuple[Visit, ...] = ()
WEEK_MS = 7 * 24 * HOUR_MS
LONG_MS = 3 * WEEK_MS  # until a question has expired, and the last try to announce that was made
LONGER_MS = 2 * LONG_MS  # until a few questions in a row have been answered at the last moment
SCENARIOS: tuple[Story, ...] = (
    Story("plain", (Submit("", webhook=True),)),
    Story("planned", (Submit("look", agent="planner"),)),
    Story("structured", (Submit("", agent="writer"),)),
    Story("tools", (Submit("look;put"),)),
    Story("unsafe", (Submit("pay"),)),
    Story("unsafe-twice", (Submit("pay+pay"),), fickle="reversed"),
    Story("unsafe-fickle", (Submit("pay;pay"),), fickle="longer"),
    Story("unsafe-once", (Submit("pay"),), fickle="harmless"),
    Story("parallel", (Submit("put+put+look"),)),
    Story("cancel-queued", (Submit("look"), Cancel(at_ms=0))),
    Story("cancel-running", (Submit("look;pay"), Cancel(at_ms=250))),
    Story("cancel-looking", (Submit("look;look;look"), Cancel(at_ms=250))),
    Story("cancel-ending", (Submit(""), Cancel(at_ms=260))),
    Story("resume", (Submit(""), Resume(after_ms=100)), rejecting_ms=400),
    Story("resume-late", (Submit(""), Resume(after_ms=380_000)), rejecting_ms=400),
    Story(
        "fork",
        (Submit("put;pay"), Fork(step=1, after_ms=100), Fork(step=1, after_ms=120)),
    ),
    Story(
        "fork-running",
        (Submit("put;pay;look"), Fork(at_ms=250, instruction="Go on.")),
        inline_bytes=0,
    ),
    Story("fork-failed", (Submit("pay"), Fork(after_ms=50, model="o3")), rejecting_ms=400),
    Story(
        "resume-midway",
        (Submit("look;look"), Resume()),
        rejecting_after_ms=400,
        rejecting_ms=1_000,
    ),
    Story(
        "resume-upgraded",
        (Submit("look;look"), Resume(upgrade=True)),
        rejecting_after_ms=400,
        rejecting_ms=1_000,
    ),
    Story("deployed", (Submit("look;look"),), steps_per_execution=2, deployed_at_ms=350),
    Story("roll-over", (Submit("look;put;look;look"),), steps_per_execution=3),
    Story("webhook-down", (Submit("", webhook=True),), webhook_down_ms=10 * 60_000),
    Story("throttled", (Submit("look"),), throttled_ms=100_000),
    Story("outage", (Submit(""),), outage_ms=HOUR_MS),
    Story("resubmission", (Submit("", key="k"), Submit("", key="k", at_ms=20))),
    Story("reused-key", (Submit("", key="k"), Submit("look", key="k", at_ms=15))),
    Story(
        "two-tenants",
        (
            Submit("put", tenant="acme"),
            Submit("put", tenant="globex"),
            Trespass(of=0),
            Trespass(of=1),
        ),
    ),
    Story("dead-executions", (Submit("look"),), dying_executions=2),
    Story("give-up", (Submit(""),), dying_executions=1_000),
    Story("broken-step", (Submit("look"),), dying_steps=7),
    Story("poison", (Submit("look"),), poison_at_ms=20),
    Story("cap", (Submit("$look;look;look;look", agent="loop", max_cost_usd=0.002),)),
    Story("token-cap", (Submit("$look;look;look;look", max_tokens=12_000),)),
    Story("webhook-gone", (Submit("", webhook=True),), webhook_down_ms=1_000 * HOUR_MS),
    Story("webhook-410", (Submit("", webhook=True), Redeliver()), webhook_gone_ms=30_000),
    Story("concurrency-used-up", (Submit("look"),), lambda_throttled_ms=40_000),
    Story("erased", (Submit(""),), is_erased=True, limit_ms=40 * 24 * HOUR_MS),
    Story("summarized", (Submit("pay;look;put", agent="terse"),)),
    Story("limit", (Submit("look;look;look", agent="hasty"),)),
    Story("doubted", (Submit("look", agent="doubtful"),)),
    Story("verify", (Submit("send;send"),), silent_calls=1, lost_calls=1),
    Story("taken-over", (Submit("send+pay"),), fickle="other", deadly_calls=1),
    Story("taken-over-cancel", (Submit("send"), Cancel(at_ms=930_000)), deadly_calls=1),
    Story("asked", (Submit("pay"),), fickle="harmless", deadly_calls=1),
    Story("answered", (Submit("pay;pay", webhook=True),), silent_calls=1, lost_calls=1),
    Story(
        "unanswered",
        (Submit("pay"), Resume()),
        visits=NOBODY,
        silent_calls=1,
        limit_ms=LONG_MS,
    ),
    Story(
        "late-answer",
        (Submit("pay"),),
        visits=(Visit(WEEK_MS + HOUR_MS),),
        lost_calls=1,
        limit_ms=LONG_MS,
    ),
    Story("abort", (Submit("pay"), Resume()), visits=(Visit(says=Says.ABORT),), lost_calls=1),
    Story(
        "two-answers",
        (Submit("pay"), Trespass()),
        visits=(Visit(1_000), Visit(1_000, Says.LIE), Visit(1_030)),
        silent_calls=1,
    ),
    Story(
        "answer-cancel",
        (Submit("pay"), Cancel(at_ms=1_300)),
        visits=(Visit(1_000),),
        silent_calls=1,
    ),
    Story(
        "abort-twice",
        (Submit("pay;pay"), Resume()),
        visits=(Visit(1_000, Says.ABORT),),
        silent_calls=1,
        lost_calls=1,
    ),
    Story("approved", (Submit("buy+look;look", agent="careful", webhook=True), Trespass())),
    Story(
        "edited",
        (Submit("buy+buy", agent="careful"), Fork(after_ms=100)),
        visits=(Visit(1_000, Says.LIE), Visit(1_020), Visit(1_040, Says.LIE)),
    ),
    Story("rejected", (Submit("buy;look", agent="prudent"),), visits=(Visit(says=Says.ABORT),)),
    Story("asked-a-colour", (Submit("ask_human+ask_human;put", agent="careful"),)),
    Story("tainted", (Submit("mail+page;mail", agent="careful"),)),
    Story("tainted-summary", (Submit("page;look;look;look;mail", agent="forgetful"),)),
    Story(
        "nobody-approves",
        (Submit("buy+ask_human", agent="careful"),),
        visits=NOBODY,
        limit_ms=LONG_MS,
    ),
    Story(
        "approved-late",
        (Submit("buy", agent="careful"),),
        visits=(Visit(WEEK_MS + HOUR_MS),),
        limit_ms=LONG_MS,
    ),
    Story(
        "approved-silence",
        (Submit("buy+buy;look", agent="careful"),),
        silent_calls=1,
        deadly_calls=1,
    ),
    Story(
        "approved-cancel",
        (Submit("buy+look", agent="careful"), Cancel(at_ms=1_300)),
        visits=(Visit(1_000),),
    ),
    Story(
        "approved-resume",
        (Submit("buy;look", agent="careful"), Resume(after_ms=100)),
        visits=(Visit(1_000),),
        spared_steps=1,
        dying_steps=7,
    ),
    Story("resume-unsafe", (Submit("pay"), Resume(after_ms=100)), spared_steps=1, dying_steps=7),
    Story("large-result", (Submit("fetch;look"),), is_erased=True, limit_ms=40 * 24 * HOUR_MS),
    Story(
        "all-in-the-bucket",
        (Submit("pay", webhook=True),),
        inline_bytes=0,
        silent_calls=1,
        is_erased=True,
        limit_ms=40 * 24 * HOUR_MS,
    ),
    Story(
        "verbs-in-the-bucket",
        (
            Submit("", key="k"),
            Submit("", key="k", at_ms=20),
            Resume(after_ms=100),
            Cancel(at_ms=600),
        ),
        rejecting_ms=400,
        inline_bytes=0,
    ),
    Story("give-up-in-the-bucket", (Submit(""),), dying_executions=1_000, inline_bytes=0),
    Story(
        "robbed",
        (Submit("look;look"),),
        spared_steps=1,
        dying_steps=1,
        inline_bytes=0,
        robbed_at_ms=250,
    ),
    Story("robbed-dead", (Submit(""),), dying_executions=1, inline_bytes=0, robbed_at_ms=90),
    *places.STORIES,
    *talks.STORIES,
    *recollections.STORIES,
    *offices.STORIES,
)

COMPLETE = (
    "cancel-queued",
    "cancel-ending",
    "resubmission",
    "reused-key",
    "plain",
    "structured",
    "erased",
    "unsafe",
    "unsafe-once",
    "parallel",
    "broken-step",
    "cancel-running",
)
"""The stories of which every plan of two faults is tried: the shortest. Of the others a sample is."""

GOALS = (
    "",
    "look",
    "pay",
    "put",
    "look;pay",
    "pay;pay",
    "put+put",
    "pay+put",
    "look+look;put",
    "pay+pay",
    "send",
    "send;pay",
    "pay+send",
    "send+send",
)
DAYS_OF_PEOPLE = (
    (Visit(1_000),),
    (Visit(),),
    (Visit(HOUR_MS),),
    (Visit(80 * HOUR_MS),),
    NOBODY,
    (Visit(WEEK_MS - 1_000),),
    (Visit(WEEK_MS + HOUR_MS),),
    (Visit(says=Says.ABORT),),
    (Visit(10_000), Visit(10_000, Says.ABORT)),
    (Visit(10_000), Visit(10_000), Visit(10_010)),
    (Visit(1_000), Visit(1_000, Says.LIE)),
)
ASKING_GOALS = (
    "buy",
    "buy+buy",
    "look+buy;put",
    "page;mail",
    "page+buy;mail",
    "mail;page",
    "pay+buy",
    "buy+send",
)
AGENTS = ("loop", "loop", "planner", "writer")
TENANTS = ("acme", "globex", "initech")


def random_story(seed: int) -> Story:
    """One of many days, told by its seed."""
    dice = Random(seed * 2 + 1)
    acts: list[Act] = []
    count = _first_throw(dice)
    for number in range(count):
        acts.append(_submit(dice, number))
    for number in range(count):
        acts += _verbs(dice, number)
    acts += _forks(Random(f"{seed}/forks"), count)
    acts += _approvals(Random(f"{seed}/approvals"), count)
    acts = _short_of_tokens(Random(f"{seed}/tokens"), acts)
    story = places.limited(Random(f"{seed}/places"), _day(dice, seed, acts))
    story = talks.in_sessions(Random(f"{seed}/sessions"), story)
    return offices.open_some_days(Random(f"{seed}/offices"), story)


def _first_throw(dice: Random) -> int:
    """How many tasks are submitted, but for those of other dice."""
    return dice.choice((1, 1, 1, 2, 2, 3))


def is_of_several(seed: int) -> bool:
    """Whether already the first throw says that the story of this seed has several tasks."""
    return _first_throw(Random(seed * 2 + 1)) > 1


def tasks_of(story: Story) -> int:
    """How many tasks are submitted in it."""
    return sum(isinstance(act, Submit) for act in story.acts)


def _day(dice: Random, seed: int, acts: list[Act]) -> Story:
    return Story(
        name="random",
        acts=tuple(acts),
        seed=seed,
        fickle=dice.choice(("", "longer", "other", "reversed", "harmless")),
        steps_per_execution=dice.choice((1, 2, 3, 500)),
        webhook_down_ms=dice.choice((0, 0, 0, 20_000, 3 * HOUR_MS, 120 * HOUR_MS)),
        throttled_ms=dice.choice((0, 0, 0, 90_000)),
        outage_ms=dice.choice((0, 0, 0, 0, 8_000, 120_000)),
        rejecting_ms=dice.choice((0, 0, 0, 1_000)),
        dying_executions=dice.choice((0, 0, 0, 0, 1, 3, 6)),
        spared_steps=dice.choice((0, 1, 2)),
        dying_steps=dice.choice((0, 0, 0, 0, 2, 7)),
        deadly_calls=dice.choice((0, 0, 0, 0, 1)),
        silent_calls=dice.choice((0, 0, 0, 0, 1)),
        lost_calls=dice.choice((0, 0, 0, 0, 1)),
        poison_at_ms=dice.choice((0, 0, 0, 20)),
        lambda_throttled_ms=dice.choice((0, 0, 0, 0, 20 * 60_000)),
        max_skew_ms=dice.choice((0, 300_000)),
        visits=dice.choice(DAYS_OF_PEOPLE),
        limit_ms=LONGER_MS,
        inline_bytes=dice.choice((INLINE_BODY_BYTES, INLINE_BODY_BYTES, INLINE_BODY_BYTES, 0)),
    )


def _approvals(dice: Random, of: int) -> list[Act]:
    """One more task, that needs people; dice of its own, as those of forks."""
    if dice.random() < 0.6:
        return []
    submit = Submit(
        goal=dice.choice(ASKING_GOALS),
        agent=dice.choice(("careful", "careful", "prudent", "forgetful")),
        tenant=dice.choice(TENANTS),
        key="approvals",
        at_ms=dice.randrange(0, 400),
        webhook=dice.random() < 0.3,
    )
    return [submit, *_verbs(dice, of), *_forks(dice, 0)]


def _submit(dice: Random, number: int) -> Submit:
    return Submit(
        goal=dice.choice(GOALS),
        agent=dice.choice(AGENTS),
        tenant=dice.choice(TENANTS),
        key=dice.choice((None, "same", f"key-{number}")),
        at_ms=dice.randrange(0, 400),
        webhook=dice.random() < 0.3,
    )


def _short_of_tokens(dice: Random, acts: list[Act]) -> list[Act]:
    """On some days answers are as long as they may be, and a few of them use up a task's tokens."""
    if dice.random() < 0.85:
        return acts
    most = dice.choice((9_000, 12_000, 30_000))
    return [
        replace(act, goal=f"${act.goal}", max_tokens=most) if isinstance(act, Submit) else act
        for act in acts
    ]


def _verbs(dice: Random, of: int) -> list[Act]:
    verbs: list[Act] = []
    if dice.random() < 0.25:
        mean_ms = dice.choice((1_500, 1_500, 60_000, 600_000))
        verbs.append(Cancel(of, at_ms=int(dice.expovariate(1 / mean_ms))))
    if dice.random() < 0.25:
        pause = dice.choice((0, 50, 5_000, 90_000))
        verbs.append(Resume(of, after_ms=pause, upgrade=pause in (50, 90_000)))
    if dice.random() < 0.05:
        verbs.append(Trespass(of, at_ms=dice.randrange(0, 500)))
    return verbs


def _forks(dice: Random, submits: int) -> list[Act]:
    """Dice of their own, so that a seed's other acts stay what they were."""
    return [
        Fork(
            of,
            step=dice.choice((None, None, 0, 1, 2)),
            key=dice.choice(("same", f"fork-{of}", "fork")),
            at_ms=dice.randrange(0, 1_500),
            after_ms=dice.choice((None, 0, 5_000)),
            model=dice.choice((None, None, "o3")),
            instruction=dice.choice((None, "Go on.")),
        )
        for of in range(submits)
        for _ in range(dice.choice((0, 0, 0, 0, 1, 2)))
    ]
