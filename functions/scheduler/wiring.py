"""What the scheduler is made of, built once per sandbox and only when first needed."""

from pathlib import Path

from ratchet.adapters.aws import client
from ratchet.adapters.aws_store import checkpoints, schedules
from ratchet.adapters.eventbridge_scheduler import EventBridgeTimers
from ratchet.adapters.sqs import SqsInbox
from ratchet.adapters.stepfunctions import StepFunctionsWorkflow
from ratchet.adapters.system import SystemClock
from ratchet.app.cancel_task import CancelTask
from ratchet.app.run_schedule import RunSchedule
from ratchet.cold_start import once
from ratchet.contracts.settings import SchedulerSettings
from ratchet.submitting import rate_gate, submit_task

_BUNDLE = Path(__file__).parents[2]


@once
def run_schedule() -> RunSchedule:
    """The scheduler's use case on AWS; it submits just as the api does."""
    settings = SchedulerSettings.from_env()
    clock = SystemClock()
    store = checkpoints(settings, clock)
    outbox = SqsInbox(client("sqs"), settings.outbox_queue_url)
    workflow = StepFunctionsWorkflow(client("stepfunctions"), settings.state_machine_arn)
    cancel = CancelTask(store, workflow, outbox, clock)
    return RunSchedule(
        schedules(settings, clock),
        EventBridgeTimers(lambda: client("scheduler"), settings.schedule_group),
        submit_task(settings, store, cancel, bundle=_BUNDLE),
        rate_gate(settings, clock),
    )
