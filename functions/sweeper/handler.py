"""Every minute, and whenever an execution dies: looks at what is due. Dead letters end here too."""

import json
from dataclasses import asdict
from typing import Any

from functions.sweeper.wiring import dead_letters, missed_runs, sweep_tasks
from ratchet.app.batch import run_dead_letters
from ratchet.contracts.messages import MalformedMessage, StepInput
from ratchet.observability import log_about, logger, sweep_metrics
from ratchet.unexpected import without_content


@logger.inject_lambda_context(clear_state=True)
@without_content
def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """A schedule's tick, EventBridge's word that an execution has ended without success, or a batch of dead letters."""
    if "Records" in event:
        return run_dead_letters(event, dead_letters(), missed_runs())
    if event.get("source") == "aws.states":
        return _reconcile(event)
    swept = sweep_tasks()()
    sweep_metrics(swept.lag_ms, swept.waiting)
    figures = asdict(swept)
    logger.info("swept", extra=figures)
    return figures


def _reconcile(event: dict[str, Any]) -> dict[str, Any]:
    """The input names the task; without it (EventBridge leaves out large ones) the schedule finds it."""
    try:
        data = json.loads(event["detail"].get("input") or "{}")
        task = StepInput.task_of(data)
    except (ValueError, MalformedMessage):
        return {"reconciled": False}
    log_about(task)
    sweep_tasks().reconcile(task)
    return {"reconciled": True}
