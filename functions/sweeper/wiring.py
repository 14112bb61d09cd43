"""What the sweeper is made of, built once per sandbox and only when first needed."""

from ratchet.adapters.aws import client
from ratchet.adapters.aws_store import checkpoints, schedules, suspensions
from ratchet.adapters.sqs import SqsInbox
from ratchet.adapters.stepfunctions import StepFunctionsWorkflow
from ratchet.adapters.system import SystemClock
from ratchet.app.admission import Admission, rules_of
from ratchet.app.dead_letters import DeadLetters
from ratchet.app.dispatch_task import DispatchTask
from ratchet.app.missed_runs import MissedRuns
from ratchet.app.session_lock import SessionLock
from ratchet.app.suspensions import SuspendedTenants
from ratchet.app.sweep_tasks import SweepTasks
from ratchet.cold_start import once
from ratchet.contracts.settings import SweeperSettings


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


@once
def dead_letters() -> DeadLetters:
    """What becomes of messages that nobody could handle, on AWS."""
    settings = SweeperSettings.from_env()
    clock = SystemClock()
    store, rules = checkpoints(settings, clock), rules_of(settings)
    is_suspended = SuspendedTenants(suspensions(settings), clock)
    dispatch = DispatchTask(
        store,
        StepFunctionsWorkflow(client("stepfunctions"), settings.state_machine_arn),
        clock,
        Admission(store, clock, rules, is_suspended) if rules.is_on else None,
        SessionLock(store, clock),
        is_suspended,
    )
    outbox = SqsInbox(client("sqs"), settings.outbox_queue_url)
    return DeadLetters(store, dispatch, outbox, clock)


@once
def missed_runs() -> MissedRuns:
    """What becomes of runs of schedules that nobody could submit, on AWS."""
    settings = SweeperSettings.from_env()
    return MissedRuns(schedules(settings, SystemClock()))
