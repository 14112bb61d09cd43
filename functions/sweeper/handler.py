"""Every minute, and whenever an execution dies: looks at what is due."""

import json
from typing import Any

from ratchet.adapters.aws import client
from ratchet.adapters.aws_store import checkpoints
from ratchet.adapters.sqs import SqsInbox
from ratchet.adapters.stepfunctions import StepFunctionsWorkflow
from ratchet.adapters.system import SystemClock
from ratchet.app.sweep_tasks import SweepTasks
from ratchet.cold_start import once
from ratchet.contracts.messages import MalformedMessage, StepInput
from ratchet.contracts.settings import SweeperSettings
from ratchet.observability import logger, sweep_metrics


@once
def sweep_tasks() -> SweepTasks:
    """The sweeper's use case on AWS."""
    settings = SweeperSettings.from_env()
    clock = SystemClock()
    return SweepTasks(
        store=checkpoints(settings, clock),
        inbox=SqsInbox(client("sqs"), settings.queue_url),
        outbox=SqsInbox(client("sqs"), settings.outbox_queue_url),
        workflow=StepFunctionsWorkflow(client("stepfunctions"), settings.state_machine_arn),
        clock=clock,
    )


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """A schedule's tick, or EventBridge's word that an execution has ended without success."""
    if event.get("source") == "aws.states":
        return _reconcile(event)
    swept = sweep_tasks()()
    sweep_metrics(swept.lag_ms)
    logger.info(
        "swept", extra={"tasks": swept.tasks, "failed": swept.failed, "lag_ms": swept.lag_ms}
    )
    return {"tasks": swept.tasks, "failed": swept.failed, "lag_ms": swept.lag_ms}


def _reconcile(event: dict[str, Any]) -> dict[str, Any]:
    """The input names the task; without it (EventBridge leaves out large ones) the schedule finds it."""
    try:
        data = json.loads(event["detail"].get("input") or "{}")
        task = StepInput.task_of(data)
    except (ValueError, MalformedMessage):
        return {"reconciled": False}
    sweep_tasks().reconcile(task)
    return {"reconciled": True}
