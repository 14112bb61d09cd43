"""The stories of operators: tenants that are suspended and erased, people who are forgotten, and batches."""

from tests.simulation.recollections import KEEPER
from tests.simulation.story import Cancel, Forget, Story, Submit, SubmitBatch, Suspend

S = "talk"
STORIES = (
    Story(
        "suspended",
        (Submit("look;pay", webhook=True), Suspend(at_ms=250)),
        steps_per_execution=2,
    ),
    Story("suspended-erased", (Submit("look;pay"), Suspend(at_ms=250, erases=True))),
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
