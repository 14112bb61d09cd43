"""An api that was put back to an older release meets tasks that it cannot read."""

import pytest

from functions.api import current
from ratchet import Agent
from ratchet.testing.chat import says
from tests.api_wiring import wired
from tests.envelopes import envelope
from tests.unit.functions.test_api import call
from tests.unit.shared.app.test_newer_release import newer_release
from tests.unit.shared.app.world import World


def test_it_says_so_instead_of_calling_the_task_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(Agent("helper", "Help.", policy="react"), chat=[says("Done.")])
    monkeypatch.setattr(current, "wiring", lambda: wired(world))
    with newer_release():
        ref = world.submitted()
    event = envelope("api/submit")
    path = f"/v1/tasks/{ref.task_id}/steps"
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["requestContext"]["http"]["method"] = "GET"
    event["queryStringParameters"], event["body"] = {}, None
    status, answer, _ = call(event)
    assert (status, answer["code"]) == (503, "upgrade_needed")
    assert "older than the one that wrote the task" in answer["detail"]
