"""Announcements that did not arrive: seen, sent again, and signed with a secret that changes without a gap."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from cdk.bundling import ROOT
from ratchet.cli.config import DevFile
from ratchet.testing.receiver import Answer, ReceivedWebhook, WebhookReceiver
from tests.e2e.goals import research
from tests.e2e.stage import Stage
from tests.e2e.waiting import wait_until

_SECONDS = 120


def _webhook(stage: Stage, task_id: str) -> dict[str, Any]:
    """How the task's end went to its webhook."""
    stage.outcome(task_id)  # before it there is nothing to announce
    answer = stage.http.get(f"/v1/tasks/{task_id}/deliveries").raise_for_status()
    found: list[dict[str, Any]] = answer.json()["deliveries"]
    (webhook,) = [d for d in found if d["channel"] == "webhook"]
    return webhook


def _dead(stage: Stage) -> set[str]:
    answer = stage.http.get("/v1/deliveries", params={"limit": 100}).raise_for_status()
    return {dead["task_id"] for dead in answer.json()["deliveries"]}


def _is_dead(stage: Stage, task_id: str) -> bool:
    return bool(_webhook(stage, task_id)["status"] == "dead")


def ratchet(stage: Stage, folder: Path, *arguments: str) -> Any:
    """What a command prints as JSON, run in the folder of a running `ratchet dev`."""
    where = (stage.local.endpoint_url, stage.local.region)
    DevFile(stage.stack.api_url, stage.stack.api_key, os.getpid(), *where).write(folder)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "ratchet.cli.main", *arguments, "--json"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _verify(request: ReceivedWebhook, secret: str) -> None:
    Webhook(secret).verify(request.body, dict(request.headers))


def test_a_receiver_that_is_gone_gets_nothing_until_a_delivery_is_sent_again(
    stage: Stage, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    receiver.answer_with(Answer(410))
    first = stage.submit(research("gone-first"), webhook={"url": receiver.url})
    wait_until(lambda: _is_dead(stage, first), "the end of the delivery")
    second = stage.submit(research("gone-second"), webhook={"url": receiver.url})
    wait_until(lambda: _is_dead(stage, second), "the end of the other task's delivery")
    assert len(receiver.requests) == 1
    assert {first, second} <= _dead(stage)
    assert _webhook(stage, second)["attempts"][0]["detail"].startswith("not sent")

    sent = ratchet(stage, tmp_path, "redeliver", first, _webhook(stage, first)["id"])
    assert (sent["status"], sent["tries"]) == ("pending", 1)
    gone, again = receiver.wait_for(2, timeout=60)
    wait_until(lambda: _webhook(stage, first)["status"] == "delivered", "the note of its arrival")
    assert (gone.headers["webhook-id"], gone.body) == (again.headers["webhook-id"], again.body)
    assert [a["ok"] for a in _webhook(stage, first)["attempts"]] == [False, True]
    listed = ratchet(stage, tmp_path, "deliveries", "--limit", "100")["deliveries"]
    assert first not in {dead["task_id"] for dead in listed}
    assert second in {dead["task_id"] for dead in listed}

    third = stage.submit(research("gone-third"), webhook={"url": receiver.url})
    receiver.wait_for(3, timeout=60)
    wait_until(lambda: _webhook(stage, third)["status"] == "delivered", "its arrival")
    strange = stage.http.post(f"/v1/tasks/{first}/deliveries/evt_1.webhook/redeliver")
    assert (strange.status_code, strange.json()["code"]) == (404, "not_found")


def test_what_has_arrived_is_sent_again_signed_with_the_old_and_the_new_secret(
    stage: Stage, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    task_id = stage.submit(research("rotate"), webhook={"url": receiver.url})
    receiver.wait_for(1, timeout=60)
    wait_until(lambda: _webhook(stage, task_id)["status"] == "delivered", "its arrival")
    (old,) = ratchet(stage, tmp_path, "webhook-secret", receiver.url)["secrets"]
    new, also = ratchet(stage, tmp_path, "webhook-secret", receiver.url, "--rotate")["secrets"]
    assert also == old == stage.stack.webhook_secret(receiver.url)
    stage.kill("Deliverer")  # a sandbox keeps what it has read for five minutes

    delivery = _webhook(stage, task_id)
    stage.http.post(f"/v1/tasks/{task_id}/deliveries/{delivery['id']}/redeliver").raise_for_status()
    first, second = receiver.wait_for(2, timeout=60)
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    _verify(first, old)
    for secret in (old, new):
        _verify(second, secret)
    assert len(stage.announced(task_id)) == 1, "the other channel is left alone"
