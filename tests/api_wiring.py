"""The HTTP API on a world in memory."""

from typing import Any

from functions.api.wiring import Wiring
from ratchet.app.batches import ReadBatch, SubmitBatch
from tests.unit.shared.app.world import World


def wired(world: World, **changes: Any) -> Wiring:
    """The api's use cases are the world's; its first agent is the default one."""
    use_cases: dict[str, Any] = {
        "submit": world.submit,
        "submit_batch": SubmitBatch.of(world.submit, world.batches),
        "read_batch": ReadBatch(world.batches),
        "read": world.read,
        "lists": world.lists,
        "cancel": world.cancel,
        "resume": world.resume,
        "decide": world.decide,
        "fork": world.fork,
        "events": world.events,
        "usage": world.usage,
        "deliveries": world.deliveries,
        "sessions": world.sessions,
        "schedules": world.schedules,
        "memories": world.memories,
        "agents": world.submit.agents,
    }
    return Wiring(**{**use_cases, **changes})
