"""Histories that grow too long are replaced by a summary, in a step of its own."""

import json
from collections.abc import Callable

import pytest

from ratchet import Agent, Limits, tool
from ratchet.app.task_views import timeline_view
from ratchet.contracts.errors import ContextOverflow, ModelRejected
from ratchet.contracts.messages import Route, StepInput, TaskRef
from ratchet.contracts.names import Action, Complexity, Purpose, StepType, TaskStatus
from ratchet.domain.compaction import DIRECTIVE
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import End, Step
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import Outcome, asks, says
from tests.unit.shared.app.world import World

PAGE = "a fact. " * 600  # 4,800 characters, some 1,600 tokens by our estimate
PLAN = says(json.dumps({"plan": ["read"], "complexity": "complex"}))
COMPACTING = Step(StepType.REASONING, Complexity.SIMPLE, Purpose.COMPACTION)


@tool(effect="read")
def read(page: int) -> str:
    """Read a page."""
    return f"page {page}: {PAGE}"


def reader(*, at: int | None = 3_000, policy: str = "react", limits: Limits | None = None) -> Agent:
    return Agent(
        "reader",
        "Read.",
        tools=[read],
        policy=policy,
        compact_at_tokens=at,
        limits=limits or Limits(),
        loop_guard=False,
    )


def reads(page: int) -> ModelAnswer:
    return asks(ToolCall(f"c{page}", "read", json.dumps({"page": page})))


def is_summary_asked(call: ModelCall) -> bool:
    return call.prompt.messages[-1].content == DIRECTIVE


def reading(pages: int) -> Callable[[ModelCall], Outcome]:
    """Reads so many pages, whatever of it the prompt still holds, and keeps count in its summaries."""
    asked: list[ModelCall] = []

    def decide(call: ModelCall) -> Outcome:
        if is_summary_asked(call):
            return says(f"{len(asked)} pages read.")
        if call.prompt.response_format is not None:
            return PLAN
        if call.prompt.tool_choice == "none":
            return says("So it is.")
        asked.append(call)
        return reads(len(asked)) if len(asked) <= pages else says("All read.")

    return decide


def purposes(world: World, ref: TaskRef) -> list[str]:
    return [
        "summary" if r.result.is_summary else "work" if r.result.model else "nothing"
        for r in world.steps(ref)
    ]


def ended(world: World, ref: TaskRef) -> End:
    end = world.tip(ref).next
    assert isinstance(end, End)
    return end


def tokens(call: ModelCall) -> int:
    return call.prompt.estimated_tokens()


def test_a_long_history_is_summarized_and_the_task_goes_on_with_a_short_prompt() -> None:
    world = World(reader(), chat=reading(4))
    ref = world.submitted()
    tip = world.run(ref)
    assert ended(world, ref).output == "All read."
    assert purposes(world, ref) == ["work", "work", "summary", "work", "work", "summary", "work"]
    calls = world.chat.calls
    assert tokens(calls[2]) > 3_000
    assert tokens(calls[3]) < 500
    assert [m.role for m in calls[3].prompt.messages] == [
        *("system", "user", "user", "assistant", "user")
    ]
    assert tip.totals.steps == 7


def test_the_summary_is_a_reasoning_step_with_its_own_cost_and_without_tools() -> None:
    world = World(reader(), chat=reading(2))
    ref = world.submitted()
    world.run(ref)
    before, step = world.steps(ref)[1:3]
    assert before.next == COMPACTING
    assert (step.result.type, step.result.route) == (StepType.REASONING, "reasoning simple")
    assert step.result.model == "gpt-4o-mini"
    assert step.result.cost_microusd > 0
    assert world.chat.calls[2].prompt.tool_choice == "none"
    assert step.next == Step(StepType.TOOL_DISPATCH, Complexity.SIMPLE)


def test_the_policy_sees_the_work_as_if_nothing_had_been_summarized() -> None:
    world = World(reader(policy="plan_act"), chat=reading(4))
    ref = world.submitted()
    world.run(ref)
    kinds = [r.result.type for r in world.steps(ref) if r.result.purpose is Purpose.WORK]
    unlimited = World(reader(policy="plan_act", at=None), chat=reading(4))
    twin = unlimited.submitted()
    unlimited.run(twin)
    assert kinds == [r.result.type for r in unlimited.steps(twin)]
    assert purposes(world, ref).count("summary") == 2
    assert all(r.result.complexity is Complexity.COMPLEX for r in world.steps(ref)[1:])
    openings = [m.content for c in world.chat.calls for m in c.prompt.messages[-1:]]
    assert sum("[ratchet:act]" in (text or "") for text in openings) == 1


def test_a_model_that_asks_for_tools_in_a_summary_is_told_off_and_no_tool_runs() -> None:
    world = World(reader(), chat=[reads(1), reads(2), reads(3), says("Two pages."), says("Done.")])
    ref = world.submitted()
    world.run(ref)
    step = world.steps(ref)[2].result
    assert step.is_summary
    assert step.tool_runs == ()
    assert step.reason == "preferred; repair 1"
    assert ended(world, ref).output == "Done."


def test_a_summary_counts_as_a_step_of_the_limit() -> None:
    world = World(reader(limits=Limits(max_steps=3)), chat=reading(4))
    ref = world.submitted()
    tip = world.run(ref)
    assert tip.state.status is TaskStatus.BUDGET_EXCEEDED
    assert purposes(world, ref) == ["work", "work", "summary", "nothing"]


def test_a_goal_that_fills_the_prompt_alone_does_not_make_every_second_step_a_summary() -> None:
    world = World(reader(at=4_000), chat=reading(6))
    ref = world.submitted("x" * 15_000)
    world.run(ref)
    assert ended(world, ref).output == "All read."
    assert purposes(world, ref).count("summary") == 6  # one a page: each replaces 1,600 tokens
    small = World(reader(at=20_000), chat=reading(6))
    other = small.submitted("x" * 90_000)
    small.run(other)
    assert purposes(small, other).count("summary") == 1  # after 5,000 tokens, not after every page


def long_for(limit: int, decide: Callable[[ModelCall], Outcome]) -> Callable[[ModelCall], Outcome]:
    """A provider whose window is smaller than we believe."""

    def answer(call: ModelCall) -> Outcome:
        return ContextOverflow("the prompt is too long") if tokens(call) > limit else decide(call)

    return answer


def test_a_prompt_that_the_provider_finds_too_long_is_summarized_once() -> None:
    world = World(reader(at=None), chat=long_for(3_300, reading(3)))
    ref = world.submitted()
    tip = world.run(ref)
    assert ended(world, ref).output == "All read."
    assert purposes(world, ref) == ["work", "work", "nothing", "summary", "work", "work"]
    assert tip.totals.steps == 5
    assert [r.next for r in world.steps(ref)][2] == COMPACTING


def test_the_history_is_cut_for_the_summary_when_the_summary_does_not_fit_either() -> None:
    world = World(reader(at=None), chat=long_for(3_000, reading(3)))
    ref = world.submitted()
    world.run(ref)
    summarizing = [call for call in world.chat.calls if is_summary_asked(call)]
    whole, cut = summarizing[:2]
    assert tokens(cut) <= tokens(whole) // 2
    notes = [m.content or "" for m in cut.prompt.messages if m.role == "tool"]
    assert "[cut to be summarized: 4808 characters in all]" in notes[0]
    assert ended(world, ref).output == "All read."


def test_a_history_that_not_even_the_summary_takes_fails_and_says_what_to_do() -> None:
    first = reads(1)
    failing = long_for(300, reading(3))
    world = World(reader(at=None), chat=lambda c: failing(c) if c.prompt.messages[2:] else first)
    ref = world.submitted()
    world.run(ref)
    failure = ended(world, ref).failure
    assert failure is not None
    assert failure.code == "context_overflow"
    assert "larger context window" in failure.message
    assert purposes(world, ref) == ["work", "nothing", "nothing"]
    assert len(world.chat.calls) == 4  # the page, the next step, the summary whole, the summary cut


def test_overflow_straight_after_a_summary_ends_the_task() -> None:
    def decide(call: ModelCall) -> Outcome:
        if len(call.prompt.messages) == 2:
            return reads(1)
        return says("One page.") if is_summary_asked(call) else ContextOverflow("too long")

    world = World(reader(at=None), chat=decide)
    ref = world.submitted()
    world.run(ref)
    assert purposes(world, ref) == ["work", "nothing", "summary", "nothing"]
    assert len(world.chat.calls) == 4
    failure = ended(world, ref).failure
    assert failure is not None
    assert failure.code == "context_overflow"


def test_nothing_is_summarized_when_there_is_only_the_goal() -> None:
    world = World(reader(), chat=[ContextOverflow("too long")])
    ref = world.submitted()
    world.run(ref)
    assert purposes(world, ref) == ["nothing"]


def test_a_model_with_a_larger_window_on_the_route_takes_the_prompt_instead() -> None:
    world = World(reader(at=None), chat=[ContextOverflow("too long"), says("Fine.")])
    ref = world.submitted()
    event = StepInput(ref, world.first(ref).step, Route("r", ("gpt-4o-mini", "gpt-4.1")))
    assert world.executor()(event, remaining_seconds=lambda: 300).action is Action.FINISH
    assert world.steps(ref)[0].result.model == "gpt-4.1"


@pytest.mark.parametrize("overflow_first", [True, False])
def test_too_long_for_one_model_outweighs_no_from_another(overflow_first: bool) -> None:
    errors: list[Outcome] = [ContextOverflow("too long"), ModelRejected("no such model")]
    script: list[Outcome] = [reads(1), *(errors if overflow_first else errors[::-1])]
    world = World(reader(at=None), chat=script)
    ref = world.submitted()
    state = world.step(world.first(ref))
    event = StepInput(ref, state.step, Route("r", ("gpt-4o-mini", "gpt-4.1")))
    world.executor()(event, remaining_seconds=lambda: 300)
    assert world.tip(ref).next == COMPACTING


def test_a_step_on_a_route_with_a_smaller_window_makes_way_before_it_calls_a_model() -> None:
    large = Route("r", ("gpt-4.1",))
    world = World(reader(at=None), chat=lambda c: asks(*(reads(n).tool_calls[0] for n in range(9))))
    ref = world.submitted()
    state = world.first(ref)
    for _ in range(6):
        event = StepInput(ref, state.step, large)
        state = world.executor()(event, remaining_seconds=lambda: 300)
    assert purposes(world, ref) == ["work"] * 6
    world.step(state)  # its route has models of 128,000 tokens
    assert len(world.chat.calls) == 6
    assert world.tip(ref).next == COMPACTING


def test_a_resumed_summary_is_a_summary_again() -> None:
    ask = reading(3)
    refused = [True]

    def decide(call: ModelCall) -> Outcome:
        if is_summary_asked(call) and refused:
            refused.clear()
            return ModelRejected("the key is wrong")
        return ask(call)

    world = World(reader(), chat=decide)
    ref = world.submitted()
    world.run(ref)
    assert ended(world, ref).failure is not None
    world.resume(ref)
    world.run(ref)
    assert ended(world, ref).output == "All read."
    assert purposes(world, ref) == [
        *("work", "work", "nothing", "nothing", "summary"),
        *["work"] * 2,
    ]


def test_every_attempt_at_every_step_decides_the_same() -> None:
    world = World(reader(), chat=reading(4))
    ref = world.submitted()
    world.run(ref)
    seen = [(r.next, r.result.purpose) for r in world.steps(ref)]
    again = World(reader(), chat=reading(4))
    twin = again.submitted()
    state = again.first(twin)
    while state.action is not Action.FINISH:
        before, state = state, again.step(state)
        assert again.step(before, attempt=1) == state  # a late attempt adopts the record
    assert [(r.next, r.result.purpose) for r in again.steps(twin)] == seen


def test_the_partial_result_of_a_task_that_ran_out_is_its_work_and_not_a_summary() -> None:
    world = World(reader(policy="plan_act", limits=Limits(max_steps=5)), chat=reading(4))
    ref = world.submitted()
    world.run(ref)
    assert ended(world, ref).output == {"partial": "So it is."}
    assert purposes(world, ref)[-2] == "summary"


def test_the_timeline_says_which_step_was_a_summary_and_leaves_out_what_made_way() -> None:
    world = World(reader(at=None), chat=long_for(3_300, reading(3)))
    ref = world.submitted()
    world.run(ref)
    steps = timeline_view(world.read.timeline(ref)).steps
    assert [(s.number, s.purpose) for s in steps] == [
        (1, Purpose.WORK),
        (2, Purpose.WORK),
        (4, Purpose.COMPACTION),
        (5, Purpose.WORK),
        (6, Purpose.WORK),
    ]


def test_a_history_without_results_to_cut_is_not_asked_to_be_summarized_twice() -> None:
    short = asks(ToolCall("c1", "nap", "{}"))

    @tool(effect="read")
    def nap() -> str:
        """Do nothing."""
        return "rested"

    idler = Agent("idler", "Rest.", tools=[nap], policy="react")
    world = World(idler, chat=[short, ContextOverflow("too long"), ContextOverflow("too long")])
    ref = world.submitted()
    world.run(ref)
    failure = ended(world, ref).failure
    assert failure is not None
    assert failure.code == "context_overflow"
    assert len(world.chat.calls) == 3
