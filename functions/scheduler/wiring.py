"""What the scheduler is made of, built once per sandbox and only when first needed."""

import functools
from pathlib import Path

from ratchet.adapters.aws import client
from ratchet.adapters.aws_store import checkpoints, schedules, suspensions
from ratchet.adapters.dynamodb_rates import DynamoDbTenantRates
from ratchet.adapters.dynamodb_routing import DynamoDbRoutingOverride
from ratchet.adapters.eventbridge_scheduler import EventBridgeTimers
from ratchet.adapters.sqs import SqsInbox
from ratchet.adapters.stepfunctions import StepFunctionsWorkflow
from ratchet.adapters.system import SystemClock, UlidIds
from ratchet.app.agents import AgentDirectory
from ratchet.app.cancel_task import CancelTask
from ratchet.app.deployed_models import DeployedModels
from ratchet.app.rate_gate import RateGate
from ratchet.app.routing_in_force import OverridableRouting
from ratchet.app.run_schedule import RunSchedule
from ratchet.app.submit_task import SubmitTask
from ratchet.app.suspensions import SuspendedTenants
from ratchet.cold_start import once
from ratchet.contracts.names import AGENTS_MANIFEST_FILE, MODELS_FILE
from ratchet.contracts.settings import DevelopmentSwitches, SchedulerSettings
from ratchet.domain.request_rate import RequestRate
from ratchet.domain.webhook_url import check_webhook_url
from ratchet.ports import Clock

_BUNDLE = Path(__file__).parents[2]


@once
def run_schedule() -> RunSchedule:
    """The scheduler's use case on AWS; it submits just as the api does."""
    settings = SchedulerSettings.from_env()
    clock = SystemClock()
    return RunSchedule(
        schedules(settings, clock),
        EventBridgeTimers(lambda: client("scheduler"), settings.schedule_group),
        _submit(settings, clock),
        _gate(settings, clock),
    )


def _submit(settings: SchedulerSettings, clock: Clock) -> SubmitTask:
    store = checkpoints(settings, clock)
    outbox = SqsInbox(client("sqs"), settings.outbox_queue_url)
    workflow = StepFunctionsWorkflow(client("stepfunctions"), settings.state_machine_arn)
    models = DeployedModels.load(_BUNDLE / MODELS_FILE)
    override = DynamoDbRoutingOverride(client("dynamodb"), table=settings.table_name)
    loopback = DevelopmentSwitches.from_env().loopback_webhooks
    return SubmitTask(
        store=store,
        inbox=SqsInbox(client("sqs"), settings.queue_url),
        agents=AgentDirectory.load(_BUNDLE / AGENTS_MANIFEST_FILE, default=settings.default_agent),
        clock=clock,
        ids=UlidIds(clock),
        check_webhook=functools.partial(check_webhook_url, allow_loopback=loopback),
        models=models,
        routing=OverridableRouting(override, models=models, clock=clock),
        cancel=CancelTask(store, workflow, outbox, clock),
        is_suspended=SuspendedTenants(suspensions(settings), clock),
    )


def _gate(settings: SchedulerSettings, clock: Clock) -> RateGate | None:
    if not settings.tenant_rate:
        return None
    rates = DynamoDbTenantRates(client("dynamodb"), table=settings.table_name, clock=clock)
    return RateGate(rates, RequestRate(settings.tenant_rate, settings.tenant_burst))
