"""Dispatchers that are slower than what happens meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest

from ratchet.app.dispatch_task import DispatchTask
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.slots import AdmissionRules
from tests.unit.shared.app.test_admission import Office


def then_once(original: Callable[..., Any], happens: Callable[[], None]) -> Callable[..., Any]:
    """What happens right after the first call, before its caller goes on."""
    left = [happens]

    def call(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if left:
            left.pop()()
        return result

    return call


@pytest.mark.parametrize("slow", ["start", "seat"])
def test_a_dispatcher_slower_than_a_question_and_its_answer_starts_nothing_without_a_slot(
    slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(AdmissionRules(tenant_limit=1))
    ref = office.submit(TaskRequest(goal="Answer."), tenant="acme").task.ref

    def asked_and_answered() -> None:
        office.clock.advance(1)
        office.pause(ref)
        office.answer(ref, is_heard=False)

    target: object = office.workflow if slow == "start" else office.memory
    monkeypatch.setattr(target, slow, then_once(getattr(target, slow), asked_and_answered))
    bell = office.inbox.receive()
    assert bell is not None
    DispatchTask(office.store, office.workflow, office.clock, office.admission())(bell)
    state = office.tip(ref).state
    assert (state.status, state.slot) == (TaskStatus.QUEUED, None)
    assert state.generation == (1 if slow == "start" else 0), "an execution of it is not the next"
    office.hear()
    state = office.tip(ref).state
    assert (state.status, state.generation) == (TaskStatus.RUNNING, 2 if slow == "start" else 1)
    assert office.memory.counts(["acme"]).tenants == {"acme": 1}
