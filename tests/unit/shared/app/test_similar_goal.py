"""Another task's answer to nearly the same goal: who may have it, whose may be given, and what that costs."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet import Agent, SemanticCache, tool
from ratchet.app.task_views import timeline_view
from ratchet.contracts.errors import (
    DataMissing,
    ModelError,
    ModelRejected,
    ModelThrottled,
    ModelUnavailable,
    RetryableError,
    ServiceRefused,
    StoreUnavailable,
)
from ratchet.contracts.limits import EMBEDDING_SECONDS, MAX_SIMILAR_TASKS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import CacheKind, TaskStatus
from ratchet.contracts.task_api import ForkRequest, TaskRequest
from ratchet.domain.messages import ToolCall
from ratchet.domain.models import Usage, built_in
from ratchet.domain.semantic_cache import GoalVector
from ratchet.domain.steps import End, ModelUse, Similar, StepRecord
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import Outcome, asks, says
from tests.unit.shared.app.world import World

SMALL = "text-embedding-3-small"
CACHE = SemanticCache(threshold=0.85, ttl_seconds=3_600)
GOAL = "what size battery does a small cabin need in winter"
ALIKE = "what size battery does a small cabin need in deep winter"
OTHER = "which inverter suits a boat"


def talker(cache: SemanticCache | None = CACHE, **options: Any) -> Agent:
    return Agent("talker", "Talk.", policy="react", semantic_cache=cache, **options)


def worker(effect: Any, log: list[str] | None = None) -> Agent:
    @tool(effect=effect)
    def act(where: str) -> str:
        """Do it."""
        if log is not None:
            log.append(where)
        return "done"

    return talker(tools=[act])


def acts_then_says(call: ModelCall) -> ModelAnswer:
    acted = any(m.role == "tool" for m in call.prompt.messages)
    return says("Done.") if acted else asks(ToolCall("c1", "act", '{"where": "here"}'))


def numbered() -> Callable[[ModelCall], Outcome]:
    """Never the same answer twice."""
    count = iter(range(1, 1_000))
    return lambda _: says(f"answer {next(count)}")


def run(world: World, goal: str = GOAL, *, tenant: str = "acme", **request: Any) -> TaskRef:
    body = TaskRequest.model_validate({"goal": goal, **request})
    ref = world.submit(body, tenant=tenant).task.ref
    world.run(ref)
    return ref


def outcome(world: World, ref: TaskRef) -> tuple[TaskStatus, object]:
    end = world.tip(ref).next
    assert isinstance(end, End)
    return end.status, end.output


def output(world: World, ref: TaskRef) -> object:
    status, said = outcome(world, ref)
    assert status is TaskStatus.SUCCEEDED
    return said


def source(world: World, ref: TaskRef) -> str | None:
    """Whose answer the task has, if it is another one's."""
    similar = world.steps(ref)[0].result.similar
    return None if similar is None else similar.task_id


def test_a_goal_like_an_earlier_one_gets_its_answer_for_the_price_of_an_embedding() -> None:
    world = World(talker(), chat=numbered())
    first, again = run(world), run(world, ALIKE)
    assert output(world, again) == output(world, first) == "answer 1"
    assert len(world.chat.calls) == 1
    (step,) = world.steps(again)
    alike = Similar(first.task_id, round(vector(GOAL).similarity(vector(ALIKE)), 4))
    assert step.result.similar == alike
    assert step.result.answer == "answer 1"
    assert (step.result.model, step.result.is_cached) == (SMALL, False)
    assert step.result.reason == f"semantic cache: {alike.similarity} like {first.task_id}"
    tokens = Usage(input_tokens=len(ALIKE.split()))
    assert step.result.usage == world.tip(again).totals.usage == tokens
    cost = built_in().spec(SMALL).cost_microusd(tokens)
    assert step.result.cost_microusd == world.tip(again).totals.cost_microusd == cost > 0


def vector(text: str) -> GoalVector:
    counts: dict[str, float] = dict.fromkeys(GOAL.split() + ALIKE.split(), 0.0)
    for word in text.split():
        counts[word] += 1
    return GoalVector.of(list(counts.values()))


def test_the_timeline_says_where_the_answer_came_from() -> None:
    world = World(talker(), chat=numbered())
    first, again = run(world), run(world, ALIKE)
    seen = []
    for ref in (first, again):
        history = world.store.load(ref)
        assert history is not None
        view = timeline_view(history)
        seen.append((view.cached_steps, view.steps[0].cached, view.steps[0].cached_from))
    assert seen[0] == (0, None, None)
    assert seen[1][:2] == (1, CacheKind.SEMANTIC)
    assert seen[1][2] is not None
    assert seen[1][2].task_id == first.task_id
    assert 0.85 <= seen[1][2].similarity < 1


def test_without_the_switch_nobody_looks() -> None:
    world = World(talker(None), chat=numbered())
    assert [output(world, run(world)) for _ in range(2)] == ["answer 1", "answer 2"]
    assert world.chat.embedded == []
    assert (world.goals.reads, world.goals.writes) == (0, 0)


def test_a_miss_costs_an_embedding_a_read_and_a_write_and_a_hit_no_write() -> None:
    world = World(talker(), chat=numbered())
    plain = World(talker(None), chat=numbered())
    ref, same = run(world), run(plain)
    assert (world.goals.reads, world.goals.writes) == (1, 1)
    (step,), (without,) = world.steps(ref), plain.steps(same)
    tokens = Usage(input_tokens=len(GOAL.split()))
    assert step.result.usage == without.result.usage + tokens
    extra = built_in().spec(SMALL).cost_microusd(tokens)
    assert step.result.cost_microusd == without.result.cost_microusd + extra
    assert (step.result.model, step.result.reason) == (without.result.model, "preferred")
    assert step.result.others == (ModelUse(SMALL, tokens, extra),)
    assert step.result.first_prompt_tokens == without.result.first_prompt_tokens
    run(world)
    assert (world.goals.reads, world.goals.writes) == (2, 1)


def test_a_goal_below_the_threshold_is_answered_anew() -> None:
    world = World(talker(replace(CACHE, threshold=0.99)), chat=numbered())
    run(world)
    assert output(world, run(world, ALIKE)) == "answer 2"
    assert output(world, run(world, GOAL)) == "answer 1"


def test_goals_with_other_numbers_are_never_the_same() -> None:
    world = World(talker(replace(CACHE, threshold=0.5)), chat=numbered())
    orders = ["what became of order A-1001 please", "what became of order A-1010 please"]
    first, other, again = (
        run(world, goal) for goal in (*orders, "please say what became of order A-1001")
    )
    assert [source(world, ref) for ref in (first, other, again)] == [None, None, first.task_id]


def test_of_several_the_most_alike_answers() -> None:
    world = World(talker(replace(CACHE, threshold=0.6)), chat=numbered())
    near, far = run(world, "a b c d e f g h"), run(world, "e f g h i j k l")
    assert source(world, far) is None
    assert source(world, run(world, "b c d e f g h i")) == near.task_id


TENANTS = ("acme", "globex", "acme-2")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(TENANTS),
            st.sampled_from([None, "ann", "bob"]),
            st.sampled_from([GOAL, ALIKE, OTHER]),
        ),
        max_size=10,
    )
)
def test_an_answer_never_leaves_its_tenant_nor_its_user(
    tasks: list[tuple[str, str | None, str]],
) -> None:
    world = World(talker(), chat=numbered())
    sandbox = world.executor()  # warm: one process for all of them
    asked: dict[tuple[str, str | None, bool], TaskRef] = {}
    for tenant, user, goal in tasks:
        body = TaskRequest.model_validate({"goal": goal, "user_id": user})
        ref = world.submit(body, tenant=tenant).task.ref
        world.run(ref, executor=sandbox)
        before = asked.setdefault((tenant, user, goal == OTHER), ref)
        assert source(world, ref) == (None if before is ref else before.task_id)
        assert output(world, ref) == output(world, before)


def test_whoever_asks_for_more_care_does_not_get_what_a_simple_task_said() -> None:
    world = World(talker(), chat=numbered())
    run(world, complexity="simple")
    assert source(world, run(world, complexity="complex")) is None


def test_another_version_of_the_agent_answers_for_itself() -> None:
    world = World(talker(), chat=numbered())
    run(world)
    world.registry._agents["talker"] = Agent(
        "talker", "Talk differently.", policy="react", semantic_cache=CACHE
    )
    assert source(world, run(world)) is None


@pytest.mark.parametrize(
    ("effect", "is_given"), [("read", True), ("idempotent", False), ("unsafe", False)]
)
def test_what_had_an_effect_is_done_again(effect: str, is_given: bool) -> None:
    log: list[str] = []
    world = World(worker(effect, log), chat=acts_then_says)
    first, again = run(world), run(world)
    assert source(world, again) == (first.task_id if is_given else None)
    assert output(world, again) == "Done."
    assert log == (["here"] if is_given else ["here", "here"])


def test_a_failed_or_unfinished_task_answers_nobody() -> None:
    script: Iterator[Outcome] = iter([ModelRejected("no"), says("one"), says("two")])
    world = World(talker(), chat=lambda _: next(script))
    assert outcome(world, run(world))[0] is TaskStatus.FAILED
    begun = world.first(world.submitted(GOAL))
    assert source(world, run(world)) is None
    world.step(begun)


def test_a_task_that_cannot_answer_does_not_hide_one_that_can() -> None:
    script: Iterator[Outcome] = iter([says("one"), *[ModelRejected("no")] * 3])
    world = World(talker(replace(CACHE, threshold=0.5)), chat=lambda _: next(script))
    first = run(world)
    # These are the same goal, word by word, and have failed.
    world.goals.goals.clear()
    failed = [run(world, ALIKE) for _ in range(MAX_SIMILAR_TASKS - 1)]
    assert all(outcome(world, ref)[0] is TaskStatus.FAILED for ref in failed)
    (kept,) = world.goals.goals.values()
    kept[first.task_id] = replace(kept[failed[0].task_id], task_id=first.task_id)
    assert source(world, run(world, ALIKE)) == first.task_id


def test_an_answer_that_was_given_again_is_not_given_a_third_time_by_its_copy() -> None:
    world = World(talker(), chat=numbered())
    first = run(world)
    assert [source(world, run(world)) for _ in range(3)] == [first.task_id] * 3


def test_a_fork_is_a_wish_for_another_answer() -> None:
    world = World(talker(), chat=numbered())
    forked = world.fork(run(world), ForkRequest(step=0)).task.ref
    world.run(forked)
    assert output(world, forked) == "answer 2"
    assert len(world.chat.embedded) == 1


def test_an_answer_has_its_time() -> None:
    world = World(talker(), chat=numbered())
    run(world)
    world.clock.advance(CACHE.ttl_seconds - 1)
    assert output(world, run(world)) == "answer 1"
    world.clock.advance(1)
    assert output(world, run(world)) == "answer 2"


def test_an_agent_that_allows_less_than_it_did_is_obeyed_at_once() -> None:
    world = World(talker(), chat=numbered())
    run(world)
    world.registry._agents["talker"] = talker(replace(CACHE, ttl_seconds=60))
    world.clock.advance(61)
    assert output(world, run(world)) == "answer 2"


def test_an_erased_task_answers_nobody() -> None:
    world = World(talker(), chat=numbered())
    first = run(world)
    (kept,) = world.goals.goals.values()
    kept["task_gone"] = replace(kept.pop(first.task_id), task_id="task_gone")
    assert output(world, run(world)) == "answer 2"


class TestTrouble:
    @pytest.mark.parametrize(
        "error", [ModelThrottled("429", 1.0), ModelUnavailable("503"), ModelRejected("404")]
    )
    def test_without_an_embedding_the_task_is_done_as_ever(
        self, error: ModelError, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuses(_: object) -> NoReturn:
            raise error

        world = World(talker(), chat=numbered())
        monkeypatch.setattr(world.chat, "embed", refuses)
        ref = run(world)
        assert output(world, ref) == "answer 1"
        assert world.steps(ref)[0].result.reason == "preferred"
        assert (world.goals.reads, world.goals.writes) == (0, 0)

    @pytest.mark.parametrize("method", ["newest", "add"])
    @pytest.mark.parametrize("error", [StoreUnavailable, ServiceRefused, DataMissing])
    def test_trouble_with_the_known_goals_is_a_miss(
        self, error: type[Exception], method: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*_: object) -> NoReturn:
            raise error("Query: no")

        world = World(talker(), chat=numbered())
        monkeypatch.setattr(world.goals, method, fails)
        assert output(world, run(world)) == "answer 1"

    def test_records_that_cannot_be_read_are_a_miss(self, monkeypatch: pytest.MonkeyPatch) -> None:
        world = World(talker(), chat=numbered())
        first, again = run(world), world.submitted(GOAL)
        load = world.store.load

        def fails_for_first(ref: TaskRef, *, after: int = 0) -> object:
            if ref == first:
                raise StoreUnavailable("Query: no")
            return load(ref, after=after)

        state = world.first(again)
        monkeypatch.setattr(world.store, "load", fails_for_first)
        world.step(state)
        assert output(world, again) == "answer 2"

    def test_a_model_without_a_price_is_named(self) -> None:
        world = World(talker(replace(CACHE, model="mystery")), chat=numbered())
        end = world.tip(run(world)).next
        assert isinstance(end, End)
        assert end.failure is not None
        assert end.failure.code == "unpriced_model"
        assert "'mystery'" in end.failure.message

    def test_a_goal_that_is_too_long_for_the_model_is_not_embedded(self) -> None:
        world = World(talker(), chat=numbered())
        run(world, "word " * 6_000)
        assert world.chat.embedded == []

    def test_a_cap_that_does_not_pay_for_it_is_kept(self) -> None:
        world = World(talker(), chat=numbered())
        run(world, limits={"max_cost_usd": 0.000_000_5})
        assert world.chat.embedded == []

    def test_with_little_time_left_nobody_looks(self) -> None:
        world = World(talker(), chat=numbered())
        world.step(world.first(world.submitted(GOAL)), remaining=10 + EMBEDDING_SECONDS + 1)
        assert world.chat.embedded == []
        assert len(world.chat.calls) == 1


class Died(BaseException):
    pass


def dies(*_: object, **__: object) -> StepRecord:
    raise Died


def test_an_attempt_after_a_lost_commit_does_not_find_the_goal_of_its_own_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(talker(), chat=numbered())
    state = world.first(ref := world.submitted(GOAL))
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "commit", dies)
        with pytest.raises(Died):
            world.step(state)
    world.step(state, attempt=1)
    assert (output(world, ref), source(world, ref)) == ("answer 2", None)
    assert source(world, run(world)) == ref.task_id


def test_a_committed_decision_is_repeated_whatever_is_known_by_then() -> None:
    world = World(talker(), chat=numbered())
    run(world)
    state = world.first(ref := world.submitted(ALIKE))
    told = world.step(state)
    record, embedded = world.steps(ref), len(world.chat.embedded)
    world.goals.goals.clear()
    assert world.step(state, attempt=1) == told
    assert (world.steps(ref), len(world.chat.embedded)) == (record, embedded)


def test_effects_that_were_begun_are_not_left_behind_for_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[str] = []
    agent = worker("unsafe", log)
    world = World(agent, chat=acts_then_says)
    state = world.first(ref := world.submitted(GOAL))
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "commit", dies)
        with pytest.raises(Died):
            world.step(state)
    assert log == ["here"]
    world.chat._decide = lambda _: says("Done without it.")
    other = run(world)
    assert source(world, other) is None
    world.continue_from(world.step(state, attempt=1))
    assert source(world, ref) is None
    assert [json.loads(c.arguments) for c in world.steps(ref)[0].result.messages[0].tool_calls] == [
        {"where": "here"}
    ]


def test_an_answer_that_is_found_while_another_attempt_begins_effects_gives_way_to_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[str] = []
    world = World(worker("unsafe", log), chat=lambda _: says("Done without it."))
    source_of_answer = run(world)
    state = world.first(ref := world.submitted(ALIKE))
    newest = world.goals.newest

    def meanwhile(tenant: str, scope: str) -> object:
        monkeypatch.setattr(world.goals, "newest", lambda *_: [])
        world.chat._decide = acts_then_says
        with monkeypatch.context() as patch:
            patch.setattr(world.store, "commit", dies)
            with pytest.raises(Died):
                world.step(state)
        return newest(tenant, scope)

    monkeypatch.setattr(world.goals, "newest", meanwhile)
    with pytest.raises(RetryableError):
        world.step(state, attempt=1)
    assert world.steps(ref) == ()
    world.continue_from(world.step(state, attempt=2))
    assert (log, source(world, ref), output(world, ref)) == (["here"], None, "Done.")
    assert source(world, source_of_answer) is None


def test_a_step_that_comes_back_from_a_wait_does_not_look_again() -> None:
    script: Iterator[Outcome] = iter([ModelThrottled("429", 1.0), says("Here.")])
    world = World(talker(), chat=lambda _: next(script))
    run(world)
    assert (len(world.chat.embedded), world.goals.reads) == (1, 1)


def test_an_embedding_that_was_paid_for_counts_though_no_model_answers() -> None:
    world = World(talker(), chat=[ModelRejected("no")])
    ref = run(world)
    (step,) = world.steps(ref)
    assert step.result.cost_microusd == world.tip(ref).totals.cost_microusd > 0


@pytest.mark.parametrize(
    "wrong", [{"threshold": 0}, {"threshold": 1.1}, {"threshold": 0.9, "ttl_seconds": 0}]
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(reversed(wrong))):
        SemanticCache(**wrong)


def test_the_switch_does_not_change_an_agents_version() -> None:
    assert talker(None).version == talker().version
