"""What EventBridge Scheduler sends when a schedule is due: ids and a time, never content."""

import json
import re
from dataclasses import dataclass
from typing import Any, Self

from ratchet.contracts.messages import SAFE_ID, MalformedMessage

SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"
"""EventBridge Scheduler puts the time in its place:
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html"""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z")


@dataclass(frozen=True, slots=True)
class Firing:
    """A schedule is due. The same `scheduled_at` may come twice, and is the same run then."""

    tenant: str
    schedule_id: str
    scheduled_at: str

    def to_json(self) -> str:
        """As the input of an EventBridge target."""
        return json.dumps(
            {
                "tenant": self.tenant,
                "schedule_id": self.schedule_id,
                "scheduled_at": self.scheduled_at,
            }
        )

    @property
    def idempotency_key(self) -> str:
        """In a form that no caller can send, so that no key of a caller is one of a firing."""
        return f"firing\n{self.schedule_id}\n{self.scheduled_at}"

    @classmethod
    def from_event(cls, event: Any) -> Self:
        """Parse the Lambda event.

        Raises:
            MalformedMessage: it is not what our schedules send.
        """
        patterns = {"tenant": SAFE_ID, "schedule_id": SAFE_ID, "scheduled_at": _TIME}
        values = event if isinstance(event, dict) else {}
        for name, pattern in patterns.items():
            value = values.get(name)
            if not isinstance(value, str) or not pattern.fullmatch(value):
                raise MalformedMessage(f"not a firing: {name!r} is missing, or is none")
        return cls(values["tenant"], values["schedule_id"], values["scheduled_at"])

    @classmethod
    def from_dead_letter(cls, body: str) -> Self:
        """The firing of a dead letter: as EventBridge could not hand it over, or in Lambda's record of its failure.

        Raises:
            MalformedMessage: it is neither.
        """
        try:
            data = json.loads(body)
        except (ValueError, RecursionError) as exc:
            raise MalformedMessage("not a dead letter of ours") from exc
        if isinstance(data, dict) and "requestPayload" in data:
            data = data["requestPayload"]
        return cls.from_event(data)
