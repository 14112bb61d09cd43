"""Takes task references off the inbox queue and starts their executions."""

from typing import Any

from ratchet.adapters.aws import client
from ratchet.adapters.aws_store import checkpoints, suspensions
from ratchet.adapters.stepfunctions import StepFunctionsWorkflow
from ratchet.adapters.system import SystemClock
from ratchet.app.admission import Admission, rules_of
from ratchet.app.batch import run_batch
from ratchet.app.dispatch_task import DispatchTask
from ratchet.app.session_lock import SessionLock
from ratchet.app.suspensions import SuspendedTenants
from ratchet.cold_start import once
from ratchet.contracts.settings import DispatcherSettings
from ratchet.observability import logger
from ratchet.unexpected import without_content


@once
def dispatch_task() -> DispatchTask:
    """The dispatcher's use case on AWS."""
    settings = DispatcherSettings.from_env()
    clock = SystemClock()
    store = checkpoints(settings, clock)
    rules = rules_of(settings)
    is_suspended = SuspendedTenants(suspensions(settings), clock)
    return DispatchTask(
        store,
        StepFunctionsWorkflow(client("stepfunctions"), settings.state_machine_arn),
        clock,
        Admission(store, clock, rules, is_suspended) if rules.is_on else None,
        SessionLock(store, clock),
        is_suspended,
    )


@logger.inject_lambda_context(clear_state=True)
@without_content
def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """One SQS batch; answers which messages must come back."""
    return run_batch(event, dispatch_task())
