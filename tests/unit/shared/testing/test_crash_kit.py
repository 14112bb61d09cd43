"""The crash kit passes an agent that survives, and catches every bug that is planted here."""

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from ratchet import Agent, ToolContext, tool
from ratchet.app.step_course import StepCourse
from ratchet.app.sweep_tasks import SweepTasks
from ratchet.contracts.errors import ModelThrottled, ModelUnavailable
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Json, TaskStatus
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.compaction import DIRECTIVE
from ratchet.domain.messages import Message
from ratchet.domain.models import Usage
from ratchet.domain.steps import End, Step, StepPlan, StepResult
from ratchet.model_ports import ModelCall
from ratchet.ports import Intent
from ratchet.testing.answers import Answer, AnswerBook, calls
from ratchet.testing.crash_kit import CrashFailure, crash_every_step
from ratchet.testing.deployment import Recovery, Settings
from ratchet.testing.differences import differences
from ratchet.testing.harness import Kill, Observation, Scene
from ratchet.testing.sandbox import Boundary, Moment, Sandbox, SandboxDied, Trace
from ratchet.testing.store import InMemoryCheckpoints
from tests.unit.shared.testing.shop import GOAL, Shop, script


def test_an_agent_with_a_tool_of_each_effect_survives_every_crash(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shop = Shop()
    report = crash_every_step(
        shop.agent(), GOAL, model=script(), reset=shop.reset, effects=shop.effects
    )
    # Each step: load, model call, commit. Four tool calls, one of them with intent and result.
    assert report.boundaries == 2 * (5 * 3 + 4 + 2)
    assert report.runs == report.boundaries * 2
    assert report.left_to_a_person == 8
    assert report.repeated_model_calls > 0
    assert report.repeated_tool_calls > 0
    assert f"shop: killed at 42 boundaries in {report.runs} runs" in capsys.readouterr().out


def test_an_agent_survives_roll_overs_waits_and_failovers_too() -> None:
    shop = Shop()
    answers = [ModelThrottled("slow down"), ModelUnavailable("down"), *script()]
    report = crash_every_step(
        shop.agent(),
        GOAL,
        model=answers,
        reset=shop.reset,
        effects=shop.effects,
        settings=Settings(steps_per_execution=2),
        user_id="u-7",
    )
    # Each of four executions after the first looks at what an attempt before it had begun.
    # For what they may have spent: two looks each by both later executions and three by the waits, which write twice;
    # and one more after the first step of an execution that did not end with it.
    assert report.boundaries == 42 + 2 * (4 + 4) + 2 * (2 * 2 + 3 + 2 + 1)
    assert shop.users == {"u-7"}


def test_an_agent_whose_history_is_summarized_survives_every_crash() -> None:
    shop = Shop()
    agent = replace(shop.agent(), compact_at_tokens=460)
    answers = iter(script())

    def model(call: ModelCall) -> Answer:
        is_summary = call.prompt.messages[-1].content == DIRECTIVE
        return "Both orders were looked up." if is_summary else next(answers)

    report = crash_every_step(agent, GOAL, model=model, reset=shop.reset, effects=shop.effects)
    assert [step.result.is_summary for step in report.outcome.steps].count(True) == 1
    assert report.boundaries == 42 + 2 * 3
    assert report.outcome.failure is None


def test_an_agent_that_fails_must_fail_in_the_same_way() -> None:
    report = crash_every_step(Shop().agent(), GOAL, model=["plan", *[""] * 10])
    assert report.outcome.failure is not None
    assert report.outcome.failure.code == "model_output"


def test_the_story_names_the_place_and_who_went_on() -> None:
    kill = Kill(Boundary(3, "the commit", Moment.AFTER, 2), Recovery.SWEEPER)
    assert str(kill) == (
        "The sandbox died after the commit in step 3 (its 2. time); "
        "its execution died with it, and the sweeper started the next one."
    )


def test_a_dead_sandbox_reaches_nothing() -> None:
    trace = Trace(Boundary(1, "the commit", Moment.AFTER))
    sandbox, seen = Sandbox(trace, 1), list[str]()
    with pytest.raises(SandboxDied):
        sandbox.call("commit", "", lambda: seen.append("commit"))
    with pytest.raises(SandboxDied):
        sandbox.call("load", "", lambda: seen.append("load"))
    assert seen == ["commit"]
    Sandbox(trace, 1).call("load", "", lambda: seen.append("load"))
    assert seen == ["commit", "load"]


def test_an_unsafe_call_that_was_under_way_beside_the_death_is_unknown_too() -> None:
    trace = Trace(Boundary(1, "the model call", Moment.BEFORE))
    sandbox = Sandbox(trace, 1)

    def begin() -> None:
        with pytest.raises(SandboxDied):
            sandbox.call("complete", "", lambda: None)

    with pytest.raises(SandboxDied):
        sandbox.call("begin_effect", "some key", begin)
    assert trace.unknown_effects == {"some key"}
    assert str(trace.boundaries[0]) == "before the intent record of some key in step 1"


def test_parallel_unsafe_calls_survive_every_crash() -> None:
    paid: list[str] = []

    @tool(effect="unsafe", parallel=True)
    def pay(name: str) -> str:
        """Pay."""
        paid.append(name)
        return "paid"

    agent = Agent(name="payer", instructions="x", tools=[pay], policy="react")
    both = [calls("pay", name="a"), calls("pay", name="b")]
    report = crash_every_step(
        agent, GOAL, model=[both, "ok"], reset=paid.clear, effects=lambda: sorted(paid)
    )
    assert report.boundaries == 2 * (2 * 3 + 2 * 3)


# Planted bugs


def test_an_unsafe_tool_that_runs_twice_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def grant(
        self: InMemoryCheckpoints, ref: TaskRef, plan: StepPlan, *, intent: Intent, **_: object
    ) -> Intent:
        return intent

    monkeypatch.setattr(InMemoryCheckpoints, "begin_effect", grant)
    monkeypatch.setattr(InMemoryCheckpoints, "end_effect", lambda self, ref, **_: None)
    message = _failure(Shop())
    assert "The sandbox died after the tool refund(order_id='A-1') in step 3;" in message
    assert "the unsafe tool 'refund' was called 2 times in step 3" in message
    assert "must ask a person ('input_required')" in message


def test_a_lost_intent_is_caught_although_nothing_is_doubled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = InMemoryCheckpoints.begin_effect

    def forget(self: InMemoryCheckpoints, ref: TaskRef, plan: StepPlan, **call: Any) -> Intent:
        stands = begin(self, ref, plan, **call)
        return replace(stands, result="refunded", attempt_id=f"not-{stands.attempt_id}")

    monkeypatch.setattr(InMemoryCheckpoints, "begin_effect", forget)
    assert _failure_of_one_kill(Shop(), "the intent record of")


def test_an_idempotent_tool_that_ignores_its_key_shows_in_the_effects() -> None:
    message = _failure(Shop(is_forgetful=True))
    assert "the effects on the world were" in message
    assert "The sandbox died after the tool charge(amount_usd=1.5) in step 3;" in message


def test_a_tool_that_answers_its_second_call_otherwise_is_caught() -> None:
    seen: set[str] = set()

    @tool(effect="idempotent")
    def create(name: str, context: ToolContext) -> str:
        """Create."""
        key = context.idempotency_key
        answer = "already exists" if key in seen else "created"
        seen.add(key)
        return answer

    agent = Agent(name="maker", instructions="x", tools=[create], policy="react")
    with pytest.raises(CrashFailure) as caught:
        crash_every_step(agent, GOAL, model=[calls("create", name="a"), "ok"], reset=seen.clear)
    message = str(caught.value)
    assert "The sandbox died after the tool create(name='a') in step 1;" in message
    assert "the result of the tool 'create', was 'created' and is now 'already exists'" in message


def test_an_answer_of_chance_is_reported_without_any_crash() -> None:
    numbers = count()

    @tool(effect="read")
    def now() -> int:
        """The time."""
        return next(numbers)

    agent = Agent(name="clock", instructions="x", tools=[now], policy="react")
    with pytest.raises(CrashFailure, match="between two runs without any crash") as caught:
        crash_every_step(agent, GOAL, model=[calls("now"), "ok"])
    assert "the result of the tool 'now', was '0' and is now '1'" in str(caught.value)
    assert "Pass `reset`" in str(caught.value)


def test_a_final_output_of_chance_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = count()
    following = StepCourse.after

    def numbered(self: StepCourse, agent: Agent, result: StepResult, output: Json) -> Step | End:
        return following(self, agent, result, f"{output} {next(numbers)}")

    monkeypatch.setattr(StepCourse, "after", numbered)
    with pytest.raises(CrashFailure, match="the final output was 'ok 0' and is 'ok 1'"):
        crash_every_step(Agent(name="plain", instructions="x", policy="react"), GOAL, model=["ok"])


def test_a_tool_that_is_wrongly_declared_read_is_seen_by_its_effects_alone() -> None:
    paid: list[str] = []

    @tool(effect="read")
    def pay(order_id: str) -> str:
        """Pay, which nobody would call reading."""
        paid.append(order_id)
        return "paid"

    agent = Agent(name="payer", instructions="x", tools=[pay], policy="react")
    answers: list[Answer] = [calls("pay", order_id="A-1"), "ok"]
    crash_every_step(agent, GOAL, model=answers, reset=paid.clear)  # not detectable: documented
    with pytest.raises(CrashFailure, match=r"were \['A-1'\] and are \['A-1', 'A-1'\]"):
        crash_every_step(agent, GOAL, model=answers, reset=paid.clear, effects=lambda: list(paid))


def test_a_sweeper_that_does_nothing_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SweepTasks, "reconcile", lambda self, ref: None)
    message = _failure(Shop())
    assert "the sweeper started the next one" in message
    assert "the task stands still as running" in message
    assert "... and 36 more" in message


# What a run is compared in


def test_every_difference_has_its_words() -> None:
    calm = _observed()
    outcome, first = calm.outcome, calm.outcome.tool_calls[0]
    kill = Kill(Boundary(1, "the commit", Moment.AFTER))
    step = outcome.steps[1]
    asked, answer, *_ = step.result.messages
    messages = (replace(asked, content="other"), Message("tool", "lost", tool_call_id="x"), answer)
    result = replace(step.result, cost_microusd=1, tool_runs=(), messages=messages)
    longer = replace(step, result=result)
    crashed = replace(
        calm,
        outcome=replace(
            outcome,
            output="Kept.",
            steps=(outcome.steps[0], longer),
            usage=Usage(1),
            tool_calls=(
                *(replace(use, arguments={}) for use in outcome.tool_calls[1:]),
                replace(first, idempotency_key="new"),
            ),
        ),
        asked={digest: 3 for digest in calm.asked},
    )
    text = "\n".join(differences(calm, crashed, kill))
    for words in (
        "this run never came to that place (after the commit in step 1)",
        "step 2 (tool_dispatch): its cost in micro-dollars was",
        "step 2 (tool_dispatch): its tool calls were",
        "step 2 (tool_dispatch): a message of the user was",
        "step 2 (tool_dispatch): it added 3 messages instead of 4",
        "the final output was {'resolution': 'refunded'} and is 'Kept.'",
        "the ledger says 1 tokens",
        "was not called; it was in step 2",
        "under an idempotency key that the undisturbed run never used",
        "under the same idempotency key with other arguments",
        "was asked the same question 3 times instead of 1",
    ):
        assert words in text


def test_a_run_with_fewer_steps_or_another_end_differs() -> None:
    calm = _observed()
    crashed = replace(calm, outcome=replace(calm.outcome, steps=calm.outcome.steps[:-1]))
    assert differences(calm, crashed, None) == ["the task took 4 steps instead of 5"]
    ended = replace(calm, outcome=replace(calm.outcome, status=TaskStatus.CANCELLED))
    assert differences(calm, ended, None) == [
        "the task ended as 'cancelled' instead of 'succeeded'"
    ]
    assert differences(calm, calm, None) == []


def _observed() -> Observation:
    request = TaskRequest(goal=GOAL)
    return Scene(Shop().agent(), AnswerBook(script()), request, Settings()).play()


def _failure(shop: Shop) -> str:
    with pytest.raises(CrashFailure) as caught:
        crash_every_step(shop.agent(), GOAL, model=script(), reset=shop.reset, effects=shop.effects)
    return str(caught.value)


def _failure_of_one_kill(shop: Shop, call: str) -> list[str]:
    scene = Scene(shop.agent(), AnswerBook(script()), TaskRequest(goal=GOAL), Settings())
    calm = scene.play()
    [place] = [b for b in calm.boundaries if b.call == call and b.moment is Moment.AFTER]
    return differences(calm, scene.play(Kill(place), like=calm), Kill(place))
