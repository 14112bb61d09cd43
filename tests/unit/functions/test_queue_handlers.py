"""The handlers that are called by AWS: batches, authorizer, step executor."""

import pytest

from functions.deliverer import handler as deliverer
from functions.dispatcher import handler as dispatcher
from functions.step_executor import handler as step_executor
from ratchet import Agent
from ratchet.contracts.messages import MalformedMessage
from ratchet.testing.chat import says
from tests.envelopes import LambdaContext, envelope
from tests.unit.shared.app.world import World

AGENT = Agent("support", "Help.")
PLAN = says('{"plan": [], "complexity": "simple"}')


def test_the_dispatcher_returns_only_the_message_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(AGENT)
    world.submitted()
    monkeypatch.setattr(dispatcher, "dispatch_task", lambda: world.dispatch)
    event = envelope("dispatcher/batch")
    answer = dispatcher.lambda_handler(event, LambdaContext())
    assert answer == {"batchItemFailures": [{"itemIdentifier": event["Records"][1]["messageId"]}]}
    assert len(world.workflow.executions) == 1


def test_a_bug_in_one_message_does_not_return_the_whole_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def buggy(_: object) -> None:
        raise KeyError("bug")

    monkeypatch.setattr(dispatcher, "dispatch_task", lambda: buggy)
    answer = dispatcher.lambda_handler(envelope("dispatcher/batch"), LambdaContext())
    assert len(answer["batchItemFailures"]) == 2


def test_a_failed_announcement_is_due_again_and_its_message_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(Agent("support", "Help.", policy="react"), chat=[says("Done.")])
    ref = world.submitted()
    world.run(ref)
    world.sns.fail()
    monkeypatch.setattr(deliverer, "announce_task", lambda: world.announce)
    event = envelope("deliverer/batch")
    assert deliverer.lambda_handler(event, LambdaContext()) == {"batchItemFailures": []}
    assert ref in world.due()
    world.clock.advance(10)
    assert deliverer.lambda_handler(event, LambdaContext()) == {"batchItemFailures": []}
    assert ref not in world.due()


def test_the_step_executor_answers_with_the_next_state(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(AGENT, chat=[PLAN])
    world.first(world.submitted())
    executor = world.executor()
    monkeypatch.setattr(step_executor, "execute_step", lambda: executor)
    state = step_executor.lambda_handler(envelope("step_executor/step"), LambdaContext())  # type: ignore[arg-type]
    assert state == {
        "tenant": "acme",
        "task_id": "task_00000000000000000000000001",
        "action": "step",
        "step": {
            "number": 2,
            "type": "final_synthesis",
            "complexity": "simple",
            "waits": 0,
            "waited_seconds": 0,
        },
        "execution": {"generation": 1, "first_step": 1},
        "tries": {"count": 0},
    }


def test_the_step_executor_ends_a_task_that_the_state_machine_gave_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(AGENT)
    world.first(world.submitted())
    executor = world.executor()
    monkeypatch.setattr(step_executor, "execute_step", lambda: executor)
    state = step_executor.lambda_handler(envelope("step_executor/gave_up"), LambdaContext())  # type: ignore[arg-type]
    assert (state["action"], state["status"]) == ("finish", "failed")


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"tenant": "acme"},
        {"tenant": "a", "task_id": "t", "execution": {"generation": 1, "first_step": 1}},
    ],
)
def test_the_step_executor_refuses_what_is_not_a_step(event: dict[str, str]) -> None:
    with pytest.raises(MalformedMessage):
        step_executor.lambda_handler(event, LambdaContext())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": "a#b"},
        {"task_id": "../x"},
        {"attempt": [1]},
        {"failure": []},
        {"route": {"models": 7}},
        {"step": {"number": float("inf")}},
        {"execution": {"generation": 1, "first_step": None}},
    ],
)
def test_a_state_that_is_none_of_ours_is_refused_by_name(changes: dict[str, object]) -> None:
    event = {**envelope("step_executor/step"), **changes}
    with pytest.raises(MalformedMessage):
        step_executor.lambda_handler(event, LambdaContext())  # type: ignore[arg-type]
