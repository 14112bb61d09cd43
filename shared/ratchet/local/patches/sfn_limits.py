"""Step Functions: the 25,000-event limit."""

from typing import Any

from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager

from ratchet.local.patches.patch import Patch

MAX_EVENTS = 25_000
_LAST_EVENTS = {
    HistoryEventType.ExecutionFailed,
    HistoryEventType.ExecutionAborted,
    HistoryEventType.ExecutionTimedOut,
    HistoryEventType.ExecutionSucceeded,
}


def install() -> list[Patch]:
    """Installs the patches of this module."""
    patch = Patch("sfn-event-limit", "an execution may have any number of events")
    original = EventManager.add_event

    def add_event(self: Any, *args: Any, **kwargs: Any) -> Any:
        is_last = kwargs.get("event_type") in _LAST_EVENTS
        if len(self._history_event_list) >= MAX_EVENTS - 1 and not is_last:
            raise RuntimeError(
                f"The execution reached the maximum number of history events ({MAX_EVENTS})."
            )
        return original(self, *args, **kwargs)

    patch.replace(EventManager, "add_event", add_event)
    return [patch]
