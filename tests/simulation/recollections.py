"""The stories of memory: two tenants and two users who are called the same, and what faults leave of what they keep."""

from tests.simulation.story import Cancel, Fork, Story, Submit

KEEPER = "keeper"
STORIES = (
    Story("remembered", (Submit("remember;recall;forget", agent=KEEPER),)),
    Story(
        "remembered-by-four",
        (
            Submit("remember+remember;recall", agent=KEEPER, key="a"),
            Submit("remember;recall;forget", agent=KEEPER, key="b", tenant="globex", at_ms=7),
            Submit("remember;recall", agent=KEEPER, key="c", user=" 2", at_ms=11),
            Submit("forget+remember;recall", agent=KEEPER, key="d", at_ms=13),
        ),
    ),
    Story(
        "remembered-fickle",
        (Submit("remember;forget;recall", agent=KEEPER),),
        fickle="other",
    ),
    Story(
        "remembered-cancelled",
        (
            Submit("remember;remember;recall", agent=KEEPER),
            Cancel(at_ms=240),
            Fork(after_ms=100),
        ),
    ),
)
