from dataclasses import replace

import pytest

from ratchet import Agent
from ratchet.contracts.names import Complexity, Purpose, StepType
from ratchet.domain.messages import Message
from ratchet.domain.models import Usage
from ratchet.domain.prompt_cache import LIFETIME_SECONDS, WarmPrefixes, cacheable
from ratchet.domain.steps import Step, StepResult
from ratchet.domain.task import History
from tests.unit.shared.builders import ACTING, START_MS, a_history

AGENT = Agent("helper", "Help.")
LATER = START_MS + 1_000
MODEL = "gpt-4o"


@pytest.mark.parametrize(
    ("tokens", "found"),
    [(0, 0), (1_023, 0), (1_024, 1_024), (1_151, 1_024), (1_152, 1_152), (10_000, 9_984)],
)
def test_prefixes_are_found_from_1024_tokens_on_in_steps_of_128(tokens: int, found: int) -> None:
    assert cacheable(tokens) == found


def read(tokens: int, model: str = MODEL, **changes: object) -> StepResult:
    result = StepResult(
        StepType.TOOL_DISPATCH,
        Complexity.SIMPLE,
        (Message("assistant", "So."),),
        model=model,
        usage=Usage(tokens, 0, 10),
        agent_version=AGENT.version,
    )
    return replace(result, **changes)  # type: ignore[arg-type]


def warm(history: History, step: Step = ACTING, *, at_ms: int = LATER) -> int:
    return WarmPrefixes(history, AGENT, step).tokens(MODEL, at_ms=at_ms)


def test_the_last_prompt_that_the_model_has_read_is_warm() -> None:
    assert warm(a_history(read(2_000), read(3_000), read(9_000, "o3"))) == 2_944


@pytest.mark.parametrize(
    "result",
    [
        read(3_000, "o3"),
        read(3_000, agent_version="another"),
        read(3_000, type=StepType.PLANNING),
        read(3_000, purpose=Purpose.COMPACTION, messages=()),
        read(0),
    ],
    ids=["another model", "another agent version", "another schema", "a failed summary", "no call"],
)
def test_what_shares_no_prefix_is_not(result: StepResult) -> None:
    assert warm(a_history(result)) == 0


def test_nothing_before_a_summary_is() -> None:
    summary = read(3_000, purpose=Purpose.COMPACTION)
    assert warm(a_history(read(2_000), summary)) == 0
    assert warm(a_history(read(2_000), summary, read(1_500))) == 1_408


def test_a_prefix_cools_down() -> None:
    history = a_history(read(2_000))
    until = history.records[0].started_at_ms + LIFETIME_SECONDS * 1_000
    assert warm(history, at_ms=until) == 1_920
    assert warm(history, at_ms=until + 1) == 0


def test_a_step_of_several_calls_leaves_its_first_prompt_behind() -> None:
    assert warm(a_history(read(7_000, prompt_tokens=2_000))) == 1_920


def test_a_summary_finds_nothing_warm_since_it_is_asked_without_tools() -> None:
    step = Step(StepType.TOOL_DISPATCH, Complexity.SIMPLE, Purpose.COMPACTION)
    assert warm(a_history(read(2_000)), step) == 0


def test_what_the_caches_served_is_measured_against_what_was_expected() -> None:
    def served(*cached: int) -> int:
        results = [read(2_000, usage=Usage(2_000, c), expected_cached_tokens=1_000) for c in cached]
        return WarmPrefixes(a_history(*results, read(500)), AGENT, ACTING).observed_percent()

    assert served() == 100
    assert served(1_000, 0) == 50
    assert served(1_900, 1_000) == 100
