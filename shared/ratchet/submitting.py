"""Submitting on AWS: what the api and the scheduler are both made of, so that both submit alike."""

import functools
from pathlib import Path

from ratchet.adapters.aws import client
from ratchet.adapters.aws_store import suspensions
from ratchet.adapters.dynamodb_rates import DynamoDbTenantRates
from ratchet.adapters.dynamodb_routing import DynamoDbRoutingOverride
from ratchet.adapters.sqs import SqsInbox
from ratchet.adapters.system import UlidIds
from ratchet.app.agents import AgentDirectory
from ratchet.app.cancel_task import CancelTask
from ratchet.app.deployed_models import DeployedModels
from ratchet.app.rate_gate import RateGate
from ratchet.app.routing_in_force import OverridableRouting
from ratchet.app.submit_task import SubmitTask
from ratchet.app.suspensions import SuspendedTenants
from ratchet.contracts.names import AGENTS_MANIFEST_FILE, MODELS_FILE
from ratchet.contracts.settings import DevelopmentSwitches, SubmitSettings
from ratchet.domain.request_rate import RequestRate
from ratchet.domain.webhook_url import check_webhook_url
from ratchet.ports import Clock
from ratchet.session_ports import SessionStore


def submit_task(
    settings: SubmitSettings, store: SessionStore, cancel: CancelTask, *, bundle: Path
) -> SubmitTask:
    """What submits; `bundle` is the folder of the function, in which the manifests of agents and models are."""
    clock = cancel.clock
    loopback = DevelopmentSwitches.from_env().loopback_webhooks
    override = DynamoDbRoutingOverride(client("dynamodb"), table=settings.table_name)
    models = DeployedModels.load(bundle / MODELS_FILE)
    return SubmitTask(
        store=store,
        inbox=SqsInbox(client("sqs"), settings.queue_url),
        agents=AgentDirectory.load(bundle / AGENTS_MANIFEST_FILE, default=settings.default_agent),
        clock=clock,
        ids=UlidIds(clock),
        check_webhook=functools.partial(check_webhook_url, allow_loopback=loopback),
        models=models,
        routing=OverridableRouting(override, models=models, clock=clock),
        cancel=cancel,
        is_suspended=SuspendedTenants(suspensions(settings), clock),
    )


def rate_gate(settings: SubmitSettings, clock: Clock) -> RateGate | None:
    """What holds each tenant to its rate; None where none has one."""
    if not settings.tenant_rate:
        return None
    rates = DynamoDbTenantRates(client("dynamodb"), table=settings.table_name, clock=clock)
    return RateGate(rates, RequestRate(settings.tenant_rate, settings.tenant_burst))
