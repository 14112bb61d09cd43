"""What subscribers filter by: on every type of event there is."""

import pytest

from ratchet.app.events import event_of
from ratchet.contracts.names import TERMINAL_STATUSES
from ratchet.domain.steps import End, Failure, Paused
from ratchet.domain.task import History, TaskState
from tests.contract.store.samples import ASKING, START_MS, record_of, task_of

ENDS = [End(status, failure=Failure("code", "why")) for status in sorted(TERMINAL_STATUSES)]


@pytest.mark.parametrize("following", [*ENDS, ASKING])
def test_every_event_tells_type_status_agent_and_tenant(following: End | Paused) -> None:
    task, record = task_of(), record_of(3, following)
    status = following.status if isinstance(following, End) else "input_required"
    tip = History(task, TaskState(status, START_MS, START_MS), (record,))  # type: ignore[arg-type]
    event = event_of(tip)
    is_end = isinstance(following, End)
    assert event.type == (f"task.{status}" if is_end else "interrupt.requested")
    assert event.attributes == {
        "type": event.type,
        "status": status,
        "agent": task.agent,
        "tenant": task.ref.tenant,
    }
    assert event_of(tip) == event, "the same id and bytes whenever it is built"
