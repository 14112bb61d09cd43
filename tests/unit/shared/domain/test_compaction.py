"""When a compaction is due, what it leaves of the history, and that prompts stay each other's beginnings."""

import itertools
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet import Agent
from ratchet.contracts.names import Complexity, Purpose, StepType
from ratchet.domain import codec, compaction
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.prompt import Prompt, build_prompt
from ratchet.domain.steps import Step, StepResult
from ratchet.domain.task import History
from tests.figures import Tell
from tests.unit.shared.builders import a_history, a_result, tool_messages

AGENT = Agent("helper", "Help.", policy="react")
SUMMARY = StepResult(
    StepType.REASONING,
    Complexity.SIMPLE,
    compaction.messages_of(Message("assistant", "It was found.")),
    purpose=Purpose.COMPACTION,
)
FAILED_SUMMARY = StepResult(StepType.REASONING, Complexity.SIMPLE, purpose=Purpose.COMPACTION)
ACTED = a_result(StepType.TOOL_DISPATCH, *tool_messages(), ok=True)


def prompt_with(*contents: str) -> Prompt:
    messages = [
        m
        for n, content in enumerate(contents)
        for m in (
            Message("assistant", None, (ToolCall(f"c{n}", "look", "{}"),)),
            Message("tool", content, tool_call_id=f"c{n}"),
        )
    ]
    return build_prompt(AGENT, a_history(), StepType.REASONING, None).with_messages(tuple(messages))


def texts(prompt: Prompt) -> list[str]:
    return [m.content or "" for m in prompt.messages if m.role == "tool"]


@pytest.mark.parametrize(
    ("windows", "expected"),
    [([128_000], 76_800), ([200_000, 128_000], 76_800), ([200_000], 120_000), ([], None)],
)
def test_the_smallest_window_of_the_route_decides(windows: list[int], expected: int | None) -> None:
    assert compaction.threshold(AGENT, windows) == expected


def test_the_agent_may_set_the_threshold_itself() -> None:
    agent = Agent("helper", "Help.", compact_at_tokens=500)
    assert compaction.threshold(agent, [128_000]) == 500
    assert agent.version != Agent("helper", "Help.").version
    with pytest.raises(ValueError, match="compact_at_tokens"):
        Agent("helper", "Help.", compact_at_tokens=0)


def test_it_is_due_when_the_prompt_is_long_and_there_is_enough_to_replace() -> None:
    prompt = prompt_with("x" * 3_000)
    fresh = prompt.messages[2:]
    assert compaction.is_due(prompt, fresh, threshold=1_000)
    assert not compaction.is_due(prompt, fresh, threshold=2_000)
    assert not compaction.is_due(prompt, fresh[:1], threshold=1_000)
    assert not compaction.is_due(prompt, fresh, threshold=None)


def test_long_results_are_cut_before_short_ones_and_old_ones_before_new_ones() -> None:
    prompt = prompt_with("a" * 900, "b" * 9_000, "c" * 9_000, "d" * 300)
    cut = compaction.shortened(prompt, threshold=None)
    lengths = [len(text) for text in texts(cut)]
    assert lengths[0] == 900
    assert lengths[1] < 600
    assert lengths[2] == 9_000 or lengths[2] < 600
    assert lengths[3] == 300
    assert "9000 characters in all" in texts(cut)[1]


@given(st.lists(st.text("ab ü", max_size=3_000), max_size=6), st.integers(1, 5_000))
def test_a_shortened_prompt_is_shorter_and_keeps_every_message(
    contents: list[str], threshold: int
) -> None:
    prompt = prompt_with(*contents)
    cut = compaction.shortened(prompt, threshold=threshold)
    assert len(cut.messages) == len(prompt.messages)
    assert [m.tool_call_id for m in cut.messages] == [m.tool_call_id for m in prompt.messages]
    assert cut == compaction.shortened(prompt, threshold=threshold)
    if max(map(len, contents), default=0) > 600:
        assert cut.estimated_tokens() < prompt.estimated_tokens()
    else:
        assert cut.estimated_tokens() <= prompt.estimated_tokens()


def test_the_summary_stands_for_all_before_it_and_the_work_is_remembered() -> None:
    history = a_history(ACTED, SUMMARY, ACTED)
    assert history.messages == [*SUMMARY.messages, *ACTED.messages]
    assert history.fresh == list(ACTED.messages)
    assert history.work == [ACTED, ACTED]
    assert a_history(ACTED, SUMMARY).fresh == []


def test_a_summary_that_failed_replaces_nothing() -> None:
    history = a_history(ACTED, FAILED_SUMMARY)
    assert history.messages == history.fresh == list(ACTED.messages)


def test_only_a_compaction_writes_its_purpose() -> None:
    step = Step(StepType.REASONING, Complexity.SIMPLE, Purpose.COMPACTION)
    history = a_history(ACTED, SUMMARY, following=step)
    plain = a_history(ACTED).records[0]
    assert "purpose" not in json.dumps(codec.encode_record(plain))
    for record in history.records:
        assert codec.decode_record(codec.encode_record(record)) == record
    assert codec.encode_record(history.records[0])["next"] == {
        "step": ["reasoning", "simple", "compaction"],
    }


@st.composite
def steps(draw: st.DrawFn) -> StepResult:
    if draw(st.integers(0, 3)) == 0:
        return SUMMARY if draw(st.booleans()) else FAILED_SUMMARY
    count = draw(st.integers(0, 3))
    calls = tuple(ToolCall(f"c{n}", "look", "{}") for n in range(count))
    results = (Message("tool", draw(st.text(max_size=20)), (), c.id) for c in calls)
    said = Message("assistant", draw(st.text(max_size=20)) or None, calls)
    return a_result(StepType.TOOL_DISPATCH, said, *results, ok=True)


def prompt_of(history: History) -> list[str]:
    prompt = build_prompt(AGENT, history, StepType.TOOL_DISPATCH, None)
    return [json.dumps(m.to_chat()) for m in prompt.messages]


def test_prompts_are_each_others_beginning_but_at_a_compaction(
    tell: Tell,
) -> None:
    cases: Counter[int] = Counter()

    @given(st.lists(steps(), max_size=12))
    def check(results: list[StepResult]) -> None:
        cases[sum(r.is_summary for r in results)] += 1
        histories = [a_history(*results[:n]) for n in range(len(results) + 1)]
        for before, after in itertools.pairwise(histories):
            earlier, later = prompt_of(before), prompt_of(after)
            if after.records[-1].result.is_summary:
                assert later == [*earlier[:2], *(json.dumps(m.to_chat()) for m in SUMMARY.messages)]
            else:
                assert later[: len(earlier)] == earlier

    check()
    told = ", ".join(f"{cases[n]} with {n} compactions" for n in sorted(cases))
    tell(f"{cases.total()} histories: {told}")
    assert cases.total() > cases[0]


@given(st.lists(steps(), max_size=12))
def test_every_tool_result_in_a_prompt_follows_the_call_that_asked_for_it(
    results: list[StepResult],
) -> None:
    asked: list[str] = []
    for message in a_history(*results).messages:
        if message.role == "tool":
            assert message.tool_call_id == asked.pop(0)
        else:
            assert asked == []
            asked = [call.id for call in message.tool_calls]
    assert asked == []
