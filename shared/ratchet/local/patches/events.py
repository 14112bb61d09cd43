"""EventBridge: PutEvents reaches the rules of the template."""

import json
from typing import Any

from moto.events.models import EventsBackend

from ratchet.local.json_types import JsonObject
from ratchet.local.patches.patch import Patch
from ratchet.local.runtime import current_or_none


def install() -> list[Patch]:
    """Installs the patches of this module."""
    patch = Patch("events-put", "the rules are ours, so moto's PutEvents would match none")
    original = EventsBackend.put_events

    def put_events(self: Any, events: list[JsonObject]) -> Any:
        entries = original(self, events)
        runtime = current_or_none()
        for event, entry in zip(events, entries, strict=True):
            if runtime is not None and "EventId" in entry:
                detail, resources = json.loads(event["Detail"]), event.get("Resources") or []
                runtime.rules.put(event["Source"], event["DetailType"], detail, resources)
        return entries

    patch.replace(EventsBackend, "put_events", put_events)
    return [patch]
