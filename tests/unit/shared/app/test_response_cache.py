"""Exact answers again, for nothing: only for agents that allow it, only without effects, never across tenants."""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator

from ratchet import Agent, tool
from ratchet.app.task_views import timeline_view
from ratchet.contracts.errors import (
    DataMissing,
    ModelThrottled,
    ModelUnavailable,
    ServiceRefused,
    StoreUnavailable,
)
from ratchet.contracts.limits import CACHE_REQUEST_SECONDS, MAX_CACHE_TTL_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Purpose, TaskStatus
from ratchet.contracts.routing import RoutingTable
from ratchet.contracts.task_api import ForkRequest, TaskRequest
from ratchet.domain.messages import ToolCall
from ratchet.domain.models import Usage
from ratchet.domain.steps import StepRecord
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import Outcome, asks, says
from tests.unit.shared.app.test_compaction import is_summary_asked, read, reading, reads
from tests.unit.shared.app.test_execute_step import ended
from tests.unit.shared.app.world import World

TTL = 3_600
PLAN = says(json.dumps({"plan": ["look"], "complexity": "simple"}))


def agent_with(
    effect: Any = "read", *, ttl: int | None = TTL, log: list[str] | None = None
) -> Agent:
    @tool(effect=effect)
    def look(where: str) -> str:
        """Look somewhere."""
        if log is not None:
            log.append(where)
        return f"saw {where}"

    return Agent("helper", "Help.", tools=[look], cache_ttl_seconds=ttl)


def talker(ttl: int = TTL) -> Agent:
    return Agent("talker", "Talk.", policy="react", cache_ttl_seconds=ttl)


def research(call: ModelCall) -> Outcome:
    """What a model says to `agent_with`: plan, look, ready, answer."""
    prompt = call.prompt
    if prompt.response_format is not None:
        return PLAN
    if prompt.tool_choice == "none":
        return says("Here.")
    looked = any(m.role == "tool" for m in prompt.messages)
    return says("Ready.") if looked else asks(ToolCall("c1", "look", '{"where":"here"}'))


def serial() -> Callable[[ModelCall], Outcome]:
    """Never the same answer twice."""
    count = itertools.count(1)
    return lambda _: says(f"answer {next(count)}")


def run(world: World, goal: str = "Find it.", *, tenant: str = "acme") -> TaskRef:
    ref = world.submit(TaskRequest(goal=goal), tenant=tenant).task.ref
    assert world.run(ref).state.status is TaskStatus.SUCCEEDED
    return ref


def output(world: World, ref: TaskRef) -> object:
    return ended(world, ref).output


def requests(world: World) -> tuple[int, int]:
    return world.memo.reads, world.memo.writes


def test_without_the_opt_in_the_cache_is_not_asked() -> None:
    world = World(agent_with(ttl=None), chat=research)
    for _ in range(2):
        ref = run(world)
        assert not any(record.result.is_cached for record in world.steps(ref))
    assert requests(world) == (0, 0)
    assert len(world.chat.calls) == 8


def test_the_same_task_again_asks_no_model_and_costs_nothing() -> None:
    log: list[str] = []
    world = World(agent_with(log=log), chat=research)
    first, again = run(world), run(world)
    assert len(world.chat.calls) == 4
    assert output(world, again) == output(world, first) == "Here."
    assert world.tip(again).totals.cost_microusd == 0
    assert world.tip(again).totals.usage == Usage()
    assert world.tip(again).totals.steps == 4
    assert [(r.result.is_cached, r.result.reason) for r in world.steps(again)] == [
        (True, "preferred; cached answer")
    ] * 4
    assert log == ["here", "here"], "a read tool runs again: the world may have changed"


def test_a_miss_is_one_read_and_one_write_and_a_hit_one_read() -> None:
    world = World(agent_with(), chat=research)
    run(world)
    assert requests(world) == (4, 4)
    run(world)
    assert requests(world) == (8, 4)


def test_the_timeline_marks_and_counts_cached_steps() -> None:
    world = World(agent_with(), chat=research)
    for cached in (0, 4):
        history = world.store.load(run(world))
        assert history is not None
        view = timeline_view(history)
        assert view.cached_steps == cached
        assert [step.cached for step in view.steps] == ["exact" if cached else None] * 4


def test_a_hit_is_one_line_in_the_log_without_content(caplog: pytest.LogCaptureFixture) -> None:
    world = World(talker(), chat=serial())
    with caplog.at_level("INFO"):
        for _ in range(2):
            run(world, "Say hello to canary-17.")
    hits = [vars(r) for r in caplog.records if r.getMessage() == "model answer came from the cache"]
    assert [hit["model"] for hit in hits] == ["gpt-4o-mini"]
    assert "canary-17" not in str([vars(record) for record in caplog.records])


@pytest.mark.parametrize("effect", ["idempotent", "unsafe"])
def test_an_answer_that_asks_for_an_effect_is_never_kept(effect: str) -> None:
    log: list[str] = []
    world = World(agent_with(effect, log=log), chat=research)
    run(world)
    assert requests(world) == (4, 3)
    again = run(world)
    assert [r.result.is_cached for r in world.steps(again)] == [True, False, True, True]
    assert log == ["here", "here"]


@pytest.mark.parametrize("effect", ["idempotent", "unsafe"])
def test_an_answer_whose_tool_has_got_effects_since_is_a_miss(effect: str) -> None:
    world, later = World(agent_with(), chat=research), World(agent_with(effect), chat=research)
    run(world)
    later.cache = world.memo
    again = run(later)
    assert [r.result.is_cached for r in later.steps(again)] == [True, False, True, True]
    assert len(later.chat.calls) == 1


def test_an_answer_that_the_agent_of_today_refuses_is_a_miss_and_not_repaired() -> None:
    refused: set[str] = set()

    class Verdict(BaseModel):
        word: str

        @field_validator("word")
        @classmethod
        def known(cls, word: str) -> str:
            if word in refused:
                raise ValueError("not this word")
            return word

    judge = Agent("judge", "Judge.", output=Verdict, cache_ttl_seconds=TTL)
    words = iter(["yes", "no"])

    def decide(call: ModelCall) -> Outcome:
        form = call.prompt.response_format
        is_plan = form is not None and form.name == "plan"
        return PLAN if is_plan else says(json.dumps({"word": next(words)}))

    world = World(judge, chat=decide)
    assert output(world, run(world)) == {"word": "yes"}
    refused.add("yes")
    ref = run(world)
    assert output(world, ref) == {"word": "no"}
    assert world.steps(ref)[-1].result.reason == "preferred"
    refused.clear()
    assert output(world, run(world)) == {"word": "no"}, "the later answer took its place"


def test_unusable_answers_are_not_kept() -> None:
    script = iter([says("", finish_reason="stop"), says("Cut", finish_reason="length"), says("A.")])
    world = World(talker(), chat=lambda _: next(script))
    run(world)
    assert requests(world) == (3, 1)


def test_a_refusal_is_not_kept() -> None:
    declined = ModelAnswer(None, (), "stop", Usage(10, 0, 2), refusal="I will not.")
    script = iter([declined, says("Very well.")])
    world = World(talker(), chat=lambda _: next(script))
    assert world.run(world.submitted("Find it.")).state.status is TaskStatus.FAILED
    assert output(world, run(world)) == "Very well."
    assert requests(world) == (2, 1)


def test_an_answer_is_used_until_its_time_is_over() -> None:
    world = World(talker(), chat=serial())
    kept_at = world.clock.now_ms() / 1000
    run(world)
    for at, cached in ((TTL - 0.001, True), (TTL, False), (TTL + 1, True)):
        world.clock.advance(kept_at + at - world.clock.now_ms() / 1000)
        assert world.steps(run(world))[0].result.is_cached == cached


def test_an_agent_that_allows_less_time_than_before_gets_no_older_answers() -> None:
    world, strict = World(talker(), chat=serial()), World(talker(60), chat=[says("fresh")])
    run(world)
    strict.cache = world.memo
    strict.clock.advance(60)
    assert output(strict, run(strict)) == "fresh"


def test_what_only_the_budget_decides_is_no_part_of_the_question() -> None:
    world = World(talker(), chat=serial())
    run(world)
    ref = world.submitted("Find it.", limits={"max_cost_usd": 0.001, "max_tokens": 2_000})
    world.run(ref)
    assert world.steps(ref)[0].result.is_cached
    assert world.chat.calls[0].max_output_tokens > 1_000


def test_another_model_is_another_question() -> None:
    world = World(talker(), chat=serial())
    ref = run(world)
    fork = ForkRequest(step=0, model="o3")
    forked = world.fork(ref, fork).task.ref
    world.run(forked)
    assert not world.steps(forked)[0].result.is_cached


def test_an_answer_of_a_failover_is_no_answer_of_the_preferred_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    routing = RoutingTable(default=("gpt-4o", "o3"), rules=())
    monkeypatch.setattr("tests.unit.shared.app.world.ROUTING", routing)
    down = {"gpt-4o"}

    def decide(call: ModelCall) -> Outcome:
        if call.model in down:
            return ModelUnavailable("503")
        return says(f"{call.model} says so.")

    world = World(talker(), chat=decide)
    reasons = []
    for _ in range(2):
        reasons.append(world.steps(run(world))[0].result.reason)
    down.clear()
    assert output(world, run(world)) == "gpt-4o says so."
    assert reasons == ["failover from gpt-4o", "failover from gpt-4o; cached answer"]


TENANTS = ("acme", "globex", "acme-2")


@given(st.lists(st.tuples(st.sampled_from(TENANTS), st.sampled_from(["a", "b"])), max_size=12))
def test_two_tenants_with_the_same_prompt_never_share_an_answer(
    tasks: list[tuple[str, str]],
) -> None:
    world = World(talker(), chat=serial())
    sandbox = world.executor()  # warm: one process for all of them
    first: dict[tuple[str, str], object] = {}
    for tenant, goal in tasks:
        ref = world.submit(TaskRequest(goal=goal), tenant=tenant).task.ref
        world.run(ref, executor=sandbox)
        said = output(world, ref)
        known = (tenant, goal) in first
        assert world.steps(ref)[0].result.is_cached == known
        assert first.setdefault((tenant, goal), said) == said
    assert len(set(first.values())) == len(first) == len(world.chat.calls)


@pytest.mark.parametrize("error", [StoreUnavailable, ServiceRefused, DataMissing])
def test_trouble_with_the_cache_is_a_miss(
    error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(*_: object) -> NoReturn:
        raise error("GetItem: no")

    world = World(talker(), chat=serial())
    monkeypatch.setattr(world.memo, "get", fails)
    monkeypatch.setattr(world.memo, "put", fails)
    ref = run(world)
    assert output(world, ref) == "answer 1"
    assert not world.steps(ref)[0].result.is_cached
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "response cache was not read",
        "response cache was not written",
    ]


class TestTime:
    def slow(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> World:
        """The cache takes so long to say nothing."""
        world = World(talker(), chat=serial())
        get = world.memo.get

        def slowly(tenant: str, digest: str) -> object:
            world.clock.advance(seconds)
            return get(tenant, digest)

        monkeypatch.setattr(world.memo, "get", slowly)
        return world

    def test_what_the_cache_takes_the_model_does_not_get(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = self.slow(monkeypatch, 12.5)
        run(world)
        assert [call.timeout_seconds for call in world.chat.calls] == [300 - 10 - 12.5]

    def test_with_little_time_left_the_cache_is_not_asked(self) -> None:
        world = World(talker(), chat=serial())
        world.step(world.first(world.submitted()), remaining=10 + CACHE_REQUEST_SECONDS + 1)
        assert requests(world) == (0, 0)
        assert len(world.chat.calls) == 1

    def test_an_answer_that_came_late_is_not_kept(self) -> None:
        world = World(talker())

        def late(call: ModelCall) -> Outcome:
            world.clock.advance(call.timeout_seconds - CACHE_REQUEST_SECONDS + 0.5)
            return says("At last.")

        world.chat._decide = late
        run(world)
        assert requests(world) == (1, 0)

    def test_a_read_at_its_worst_leaves_a_call_its_least_time(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = self.slow(monkeypatch, CACHE_REQUEST_SECONDS + 5)
        world.step(world.first(world.submitted()), remaining=10 + CACHE_REQUEST_SECONDS + 3)
        assert [call.timeout_seconds for call in world.chat.calls] == [2.0]


def test_a_summary_is_kept_though_the_agent_answers_in_another_form() -> None:
    class Findings(BaseModel):
        pages: int

    reader = Agent(
        "reader",
        "Read.",
        tools=[read],
        output=Findings,
        compact_at_tokens=3_000,
        cache_ttl_seconds=TTL,
    )

    def answered(decide: Callable[[ModelCall], Outcome]) -> Callable[[ModelCall], Outcome]:
        def answer(call: ModelCall) -> Outcome:
            form = call.prompt.response_format
            is_final = form is not None and form.name == "output"
            return says('{"pages": 3}') if is_final else decide(call)

        return answer

    world = World(reader, chat=answered(reading(3)))
    first, again = run(world), run(world)
    summaries = [r for r in world.steps(again) if r.result.purpose is Purpose.COMPACTION]
    assert summaries
    assert all(record.result.is_cached for record in world.steps(again))
    assert output(world, first) == output(world, again) == {"pages": 3}


def test_a_summary_that_asks_for_a_tool_is_not_kept() -> None:
    reader = Agent(
        "reader",
        "Read.",
        tools=[read],
        policy="react",
        compact_at_tokens=3_000,
        cache_ttl_seconds=TTL,
    )
    decide, summaries = reading(3), []

    def answer(call: ModelCall) -> Outcome:
        if is_summary_asked(call):
            summaries.append(call)
            return reads(99)
        return decide(call)

    world = World(reader, chat=answer)
    for times in (1, 2):
        run(world)
        assert len(summaries) == times


def test_an_attempt_after_a_lost_commit_finds_the_answer_of_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Died(BaseException):
        pass

    def dies(*_: object, **__: object) -> StepRecord:
        raise Died

    world = World(talker(), chat=serial())
    state = world.first(ref := world.submitted())
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "commit", dies)
        with pytest.raises(Died):
            world.step(state)
    world.step(state, attempt=1)
    assert output(world, ref) == "answer 1"
    assert world.steps(ref)[0].result.is_cached


def test_a_plan_that_is_taken_up_again_asks_neither_model_nor_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Died(BaseException):
        pass

    def dies(*_: object, **__: object) -> StepRecord:
        raise Died

    log: list[str] = []
    world = World(agent_with("unsafe", log=log), chat=research)
    state = world.step(world.first(ref := world.submitted()))
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "commit", dies)
        with pytest.raises(Died):
            world.step(state)
    before = requests(world)
    world.step(state, attempt=1)
    assert requests(world) == before
    assert log == ["here"]
    record = world.steps(ref)[1]
    assert not record.result.is_cached
    assert record.result.cost_microusd > 0


def test_a_wait_for_a_model_reads_again_and_keeps_nothing() -> None:
    script: Iterator[Outcome] = iter([ModelThrottled("429", 1.0), says("Here.")])
    world = World(talker(), chat=lambda _: next(script))
    run(world)
    assert requests(world) == (2, 1)


@pytest.mark.parametrize("ttl", [0, -1, MAX_CACHE_TTL_SECONDS + 1])
def test_a_time_that_cannot_be_is_refused_with_what_can(ttl: int) -> None:
    with pytest.raises(ValueError, match=f"cache_ttl_seconds is 1 to {MAX_CACHE_TTL_SECONDS}"):
        Agent("helper", "Help.", cache_ttl_seconds=ttl)


def test_the_cache_does_not_change_an_agents_version() -> None:
    assert agent_with(ttl=None).version == agent_with().version
