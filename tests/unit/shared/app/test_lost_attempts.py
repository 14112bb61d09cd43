import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ratchet import Agent, Limits, tool
from ratchet.app.task_views import timeline_view
from ratchet.contracts.charge import NO_CHARGE, Charge
from ratchet.contracts.errors import (
    AttemptLost,
    ModelThrottled,
    ModelUnavailable,
    SecretUnavailable,
    StoreUnavailable,
)
from ratchet.contracts.limits import MAX_OUTPUT_TOKENS
from ratchet.contracts.messages import ExecutionRef, Route, StepInput, StepRef, TaskRef
from ratchet.contracts.names import Action, TaskStatus
from ratchet.contracts.priced_models import Price, PricedModel
from ratchet.domain.messages import ToolCall
from ratchet.domain.models import ModelCatalogue, Usage, built_in
from ratchet.domain.steps import End, Failure, StepResult
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import Outcome, asks, says
from tests.unit.shared.app.world import World


@tool(effect="read")
def look(where: str) -> str:
    """Look somewhere."""
    return f"saw {where}"


LOOP = Agent("loop", "Help.", tools=[look], policy="react")
LOOKS = asks(ToolCall("c1", "look", json.dumps({"where": "here"})))
BAD = asks(ToolCall("c1", "nothing", "{}"))
KNOWN = Charge(27, 120)  # what an answer of the script takes on gpt-4o-mini


def worst(call: ModelCall) -> Charge:
    spec, given = built_in().spec(call.model), call.prompt.estimated_tokens()
    return Charge(
        spec.worst_microusd(given, call.max_output_tokens), given + call.max_output_tokens
    )


def charged(world: World, ref: TaskRef) -> Charge:
    totals = world.tip(ref).totals
    return Charge(totals.cost_microusd, totals.tokens)


def first_result(world: World, ref: TaskRef) -> StepResult:
    return world.steps(ref)[0].result


def reserved(world: World, ref: TaskRef, step: int = 1) -> Charge:
    found = world.store.reserved(ref, step=step)
    return NO_CHARGE if found is None else found.charge


class Died(BaseException):
    """The sandbox is gone."""


def dies(_: ModelCall) -> ModelAnswer:
    raise Died


def counted(world: World, *names: str) -> list[str]:
    """The calls of these methods of the store, as they come."""
    calls: list[str] = []

    def watch(name: str) -> None:
        method = getattr(world.store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return method(*args, **kwargs)

        setattr(world.store, name, call)

    for name in names:
        watch(name)
    return calls


def test_on_the_usual_path_nothing_is_reserved_and_nobody_looks() -> None:
    world = World(LOOP, chat=[LOOKS, says("Done.")])
    calls = counted(world, "reserve", "reserved")
    world.run(world.submitted())
    assert calls == []


def test_the_call_of_an_attempt_that_died_is_charged_at_its_worst() -> None:
    world = World(LOOP, chat=dies)
    ref = world.submitted()
    state = world.first(ref)
    with pytest.raises(Died):
        world.step(state)
    lost = worst(world.chat.calls[0])
    world.chat._decide = lambda _: LOOKS
    world.step(state, attempt=1)
    result = first_result(world, ref)
    assert (result.charged, result.lost) == (KNOWN + lost, lost)
    assert charged(world, ref) == KNOWN + lost
    history = world.store.load(ref)
    assert history is not None
    (told,) = timeline_view(history).steps
    assert (told.lost_cost_usd, told.lost_tokens) == (lost.microusd / 1e6, lost.tokens)


def test_every_lost_attempt_counts() -> None:
    world = World(LOOP, chat=dies)
    ref = world.submitted()
    state = world.first(ref)
    for attempt in range(3):
        with pytest.raises(Died):
            world.step(state, attempt=attempt)
    world.chat._decide = lambda _: LOOKS
    world.step(state, attempt=3)
    assert first_result(world, ref).lost == sum(map(worst, world.chat.calls[:3]), NO_CHARGE)


def test_an_attempt_that_spent_nothing_is_not_counted() -> None:
    world = World(LOOP, chat=[LOOKS])
    ref = world.submitted()
    state = world.first(ref)
    world.step(state, attempt=0)  # as after a sandbox that was throttled: the count stays
    assert first_result(world, ref).lost == NO_CHARGE


def test_a_dead_execution_is_a_lost_attempt() -> None:
    world = World(LOOP, chat=dies)
    ref = world.submitted()
    state = world.first(ref)
    with pytest.raises(Died):
        world.step(state)
    lost = worst(world.chat.calls[0])
    world.workflow.kill(ref, 1, cause="aborted")
    world.sweep.reconcile(ref)
    again = world.workflow.input_of(ref, 2)
    assert again.execution == ExecutionRef(2, 1, restarts=1)
    world.chat._decide = lambda _: LOOKS
    world.step(again)
    assert first_result(world, ref).lost == lost


def test_a_repair_is_written_down_before_it_is_made() -> None:
    world = World(LOOP, chat=[BAD])
    ref = world.submitted()
    state = world.first(ref)
    with pytest.raises(AssertionError, match="no more outcomes"):
        world.step(state)
    assert reserved(world, ref) == KNOWN + worst(world.chat.calls[1])
    lost = reserved(world, ref)
    world.chat._decide = lambda _: LOOKS
    world.step(state, attempt=1)
    assert first_result(world, ref).lost == lost


def test_a_repair_that_was_answered_costs_what_it_cost() -> None:
    world = World(LOOP, chat=[BAD, LOOKS])
    ref = world.submitted()
    following = world.step(world.first(ref))
    result = first_result(world, ref)
    assert (result.charged, result.lost) == (KNOWN + KNOWN, NO_CHARGE)
    assert following.step.lost == NO_CHARGE


def test_a_call_without_an_answer_is_charged_and_what_refuses_is_not() -> None:
    world = World(LOOP, chat=[ModelUnavailable("timeout"), LOOKS])
    ref = world.submitted()
    event = StepInput(ref, world.first(ref).step, Route("r", ("gpt-4o-mini", "gpt-4o")))
    world.executor()(event, remaining_seconds=lambda: 300)
    assert first_result(world, ref).lost == worst(world.chat.calls[0])

    refused = ModelUnavailable("refused", may_have_spent=False)
    world = World(LOOP, chat=[refused, LOOKS])
    ref = world.submitted()
    event = StepInput(ref, world.first(ref).step, Route("r", ("gpt-4o-mini", "gpt-4o")))
    calls = counted(world, "reserve")
    world.executor()(event, remaining_seconds=lambda: 300)
    assert first_result(world, ref).lost == NO_CHARGE
    assert calls == []


def test_waits_for_a_throttled_model_cost_nothing() -> None:
    world = World(LOOP, chat=[ModelThrottled("429", 3.0), ModelThrottled("429", 3.0), LOOKS])
    ref = world.submitted()
    calls = counted(world, "reserve")
    state = world.first(ref)
    for _ in range(2):
        state = world.step(state)
        assert state.action is Action.WAIT
    world.step(state)
    assert first_result(world, ref).lost == NO_CHARGE
    assert calls == []


def test_what_was_lost_before_a_wait_is_charged_after_it() -> None:
    world = World(LOOP, chat=[ModelUnavailable("timeout"), ModelThrottled("429"), LOOKS])
    ref = world.submitted()
    state = world.first(ref)
    for _ in range(2):
        state = world.step(state)
    world.step(state)
    assert first_result(world, ref).lost == worst(world.chat.calls[0])


def test_a_retry_that_was_throttled_leaves_no_more_than_the_lost_call() -> None:
    world = World(LOOP, chat=dies)
    ref = world.submitted()
    state = world.first(ref)
    with pytest.raises(Died):
        world.step(state)
    script: Iterator[Outcome] = iter([ModelThrottled("429"), LOOKS])
    world.chat._decide = lambda _: next(script)
    world.step(world.step(state, attempt=1))
    assert first_result(world, ref).lost == worst(world.chat.calls[0])


def test_what_a_loser_spent_is_charged_to_the_next_step() -> None:
    world = World(LOOP, chat=[])
    ref = world.submitted()
    state = world.first(ref)

    def answer(_: ModelCall) -> ModelAnswer:
        if (
            len(world.chat.calls) == 2
        ):  # while the retry waits for its model, the first attempt commits
            world.chat._decide = lambda _: LOOKS
            world.step(state)
        return LOOKS

    world.chat._decide = dies
    with pytest.raises(Died):
        world.step(state)
    world.chat._decide = answer
    following = world.step(state, attempt=1)
    # It committed as the first attempt, whose one call is covered; the rest of what is reserved is the retry's.
    assert [r.attempt for r in world.steps(ref)] == [0]
    assert following.step.lost == reserved(world, ref).beyond(KNOWN)
    assert StepRef.from_dict(following.step.to_dict()) == following.step
    world.chat._decide = lambda _: says("Done.")
    world.step(following)
    assert world.steps(ref)[1].result.lost == following.step.lost


def test_lost_attempts_use_up_the_cap() -> None:
    call_cost = built_in().spec("gpt-4o-mini").worst_microusd(100, MAX_OUTPUT_TOKENS)
    agent = Agent(
        "loop", "Help.", tools=[look], policy="react", limits=Limits(max_cost_usd=call_cost / 1e6)
    )
    world = World(agent, chat=dies)
    ref = world.submitted()
    state = world.first(ref)
    with pytest.raises(Died):
        world.step(state)
    out = world.step(state, attempt=1)
    assert out.status == TaskStatus.BUDGET_EXCEEDED.value
    assert len(world.chat.calls) == 1
    assert world.tip(ref).totals.cost_microusd <= call_cost
    assert world.tip(ref).totals.steps == 0


def test_lost_attempts_use_up_the_tokens() -> None:
    limits = Limits(max_tokens=MAX_OUTPUT_TOKENS + 200)
    world = World(Agent("loop", "Help.", tools=[look], policy="react", limits=limits), chat=dies)
    ref = world.submitted()
    state = world.first(ref)
    with pytest.raises(Died):
        world.step(state)
    out = world.step(state, attempt=1)
    assert out.status == TaskStatus.BUDGET_EXCEEDED.value
    assert len(world.chat.calls) == 1
    tip, lost = world.tip(ref), worst(world.chat.calls[0]).tokens
    assert (tip.totals.tokens, tip.totals.usage) == (lost, Usage())
    assert isinstance(tip.next, End)
    assert tip.next.failure == Failure(
        "max_tokens",
        f"the next call may pass the limit of {limits.max_tokens} tokens, "
        f"of which calls without a known answer may have used {lost}",
    )


def test_lost_calls_of_a_model_without_a_price_count_by_their_tokens() -> None:
    free = PricedModel("own", Price(0, 0, 0, 0), context_tokens=100_000, max_output_tokens=5_000)
    world = World(LOOP, chat=dies)
    ref = world.submitted()
    run = replace(world.executor(), models=ModelCatalogue([free]))
    events = [
        StepInput(ref, world.first(ref).step, Route("r", ("own",)), attempt=attempt)
        for attempt in range(3)
    ]
    for event in events[:2]:
        with pytest.raises(Died):
            run(event, remaining_seconds=lambda: 300)
    world.chat._decide = lambda _: LOOKS
    run(events[2], remaining_seconds=lambda: 300)
    given = [call.prompt.estimated_tokens() + 5_000 for call in world.chat.calls[:2]]
    assert first_result(world, ref).lost == Charge(0, sum(given))


def test_an_error_after_a_call_is_a_lost_attempt_and_one_before_it_is_not() -> None:
    world = World(LOOP, chat=[LOOKS])
    ref = world.submitted()
    state = world.first(ref)
    commit = world.store.commit

    def refuse(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("throttled")

    world.store.commit = refuse  # type: ignore[method-assign]
    with pytest.raises(AttemptLost, match="StoreUnavailable: throttled"):
        world.step(state)
    world.store.commit = commit  # type: ignore[method-assign]

    def no_key(_: ModelCall) -> ModelAnswer:
        raise SecretUnavailable("no key")

    world.chat._decide = no_key
    with pytest.raises(SecretUnavailable):
        world.step(state)


def test_giving_up_charges_what_its_attempts_may_have_spent() -> None:
    world = World(LOOP, chat=dies)
    ref = world.submitted()
    state = world.first(ref)
    with pytest.raises(Died):
        world.step(state)
    world.step(state, attempt=7, failure="Lambda.Unknown: out of memory")
    assert first_result(world, ref).lost == worst(world.chat.calls[0])
    assert isinstance(world.tip(ref).next, End)
    assert charged(world, ref) == worst(world.chat.calls[0])


def test_giving_up_on_a_sandbox_that_never_ran_charges_nothing() -> None:
    world = World(LOOP)
    ref = world.submitted()
    world.step(world.first(ref), failure="Lambda.TooManyRequestsException: busy")
    assert charged(world, ref) == NO_CHARGE


def test_the_rest_of_a_budget_is_spent_on_a_cheaper_model_of_the_route() -> None:
    agent = Agent("loop", "Help.", policy="react", limits=Limits(max_cost_usd=0.002))
    world = World(agent, chat=[says("Done.")])
    ref = world.submitted()
    event = StepInput(ref, world.first(ref).step, Route("r", ("o3", "gpt-4o-mini")))
    world.executor()(event, remaining_seconds=lambda: 300)
    result = first_result(world, ref)
    assert result.model == "gpt-4o-mini"
    assert result.reason.startswith("cheaper than o3")


def test_the_simple_route_comes_last_and_only_for_want_of_money() -> None:
    agent = Agent("loop", "Help.", policy="react", limits=Limits(max_cost_usd=0.002))
    route = Route("r", ("o3",), cheaper=("gpt-4o-mini",))
    world = World(agent, chat=[says("Done.")])
    ref = world.submitted()
    event = StepInput(ref, world.first(ref).step, route)
    world.executor()(event, remaining_seconds=lambda: 300)
    assert first_result(world, ref).model == "gpt-4o-mini"

    world = World(LOOP, chat=[ModelThrottled("429")])
    ref = world.submitted()
    event = StepInput(ref, world.first(ref).step, route)
    assert world.executor()(event, remaining_seconds=lambda: 300).action is Action.WAIT


def test_a_step_that_is_written_before_the_store_goes_away_has_spent() -> None:
    world = World(LOOP, chat=[LOOKS, ModelThrottled("429", 1.0), LOOKS, says("Done.")])
    ref = world.submitted()
    knows_the_first_step = world.executor()
    state = world.step(world.first(ref), executor=knows_the_first_step)
    waited = world.step(state, executor=knows_the_first_step)
    reserved = world.store.reserved

    def gone_once_it_is_written(ref: TaskRef, *, step: int) -> object:
        if len(world.steps(ref)) == step:
            raise StoreUnavailable("throttled")
        return reserved(ref, step=step)

    world.store.reserved = gone_once_it_is_written  # type: ignore[method-assign, assignment]
    with pytest.raises(AttemptLost, match="StoreUnavailable: throttled"):
        world.step(waited)
    world.store.reserved = reserved  # type: ignore[method-assign]
    asked = len(world.chat.calls)
    # The state machine counts it, so that even who knows only the step before it reads anew.
    following = world.step(waited, executor=knows_the_first_step, attempt=1)
    assert (following.step.number, len(world.chat.calls)) == (3, asked)
