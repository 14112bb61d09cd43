"""Every minute, and whenever an execution dies: looks at what is due."""

import json
from dataclasses import asdict
from typing import Any

from ratchet.adapters.aws import client
from ratchet.adapters.aws_store import checkpoints, suspensions
from ratchet.adapters.sqs import SqsInbox
from ratchet.adapters.stepfunctions import StepFunctionsWorkflow
from ratchet.adapters.system import SystemClock
from ratchet.app.admission import Admission, rules_of
from ratchet.app.suspensions import SuspendedTenants
from ratchet.app.sweep_tasks import SweepTasks
from ratchet.cold_start import once
from ratchet.contracts.messages import MalformedMessage, StepInput
from ratchet.contracts.settings import SweeperSettings
from ratchet.observability import log_about, logger, sweep_metrics
from ratchet.unexpected import without_content


@once
def sweep_tasks() -> SweepTasks:
    """The sweeper's use case on AWS."""
    settings = SweeperSettings.from_env()
    clock = SystemClock()
    store = checkpoints(settings, clock)
    is_suspended = SuspendedTenants(suspensions(settings), clock)
    inbox = SqsInbox(client("sqs"), settings.queue_url)
    return SweepTasks(
        store=store,
        inbox=inbox,
        outbox=SqsInbox(client("sqs"), settings.outbox_queue_url),
        workflow=StepFunctionsWorkflow(client("stepfunctions"), settings.state_machine_arn),
        clock=clock,
        admission=Admission(store, clock, rules_of(settings), is_suspended),
        gauge=inbox,
        is_suspended=is_suspended,
    )


@logger.inject_lambda_context(clear_state=True)
@without_content
def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """A schedule's tick, or EventBridge's word that an execution has ended without success."""
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
