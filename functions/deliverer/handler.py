"""Takes task references off the outbox queue and announces the tasks' outcomes."""

import functools
from typing import Any

from ratchet.adapters.aws import client
from ratchet.adapters.aws_spans import span_sink
from ratchet.adapters.aws_store import checkpoints, suspensions, tenant_budgets
from ratchet.adapters.secrets import Secrets
from ratchet.adapters.signing_keys import SecretsManagerSigningKeys
from ratchet.adapters.sns import SnsAnnouncer
from ratchet.adapters.sqs import SqsInbox
from ratchet.adapters.system import SystemClock
from ratchet.adapters.webhook import WebhookAnnouncer
from ratchet.app.admission import Admission, SlotReturn, rules_of
from ratchet.app.announce_task import AnnounceTask
from ratchet.app.batch import run_batch
from ratchet.app.decision_links import DecisionLinks, LinkBook
from ratchet.app.session_lock import SessionLock, SessionReturn
from ratchet.app.suspensions import SuspendedTenants
from ratchet.app.tenant_allowance import TenantGovernor
from ratchet.cold_start import once
from ratchet.contracts.settings import DelivererSettings, DevelopmentSwitches
from ratchet.contracts.tenant_caps import TenantCaps
from ratchet.observability import logger
from ratchet.ports import Clock
from ratchet.unexpected import without_content


@once
def announce_task() -> AnnounceTask:
    """The deliverer's use case on AWS."""
    settings = DelivererSettings.from_env()
    clock = SystemClock()
    secrets = Secrets(client("secretsmanager"), clock)
    webhook = WebhookAnnouncer(
        secret=functools.partial(secrets.get, settings.webhook_secret_arn),
        clock=clock,
        allow_loopback=DevelopmentSwitches.from_env().loopback_webhooks,
    )
    store = checkpoints(settings, clock)
    is_suspended = SuspendedTenants(suspensions(settings), clock)
    inbox = SqsInbox(client("sqs"), settings.queue_url)
    return AnnounceTask(
        store,
        (SnsAnnouncer(client("sns"), settings.topic_arn), webhook),
        clock,
        SlotReturn(Admission(store, clock, rules_of(settings), is_suspended), inbox),
        TenantGovernor(tenant_budgets(settings, clock), TenantCaps.parse(settings.tenant_caps)),
        SessionReturn(SessionLock(store, clock), inbox),
        span_sink(settings, clock, service="deliverer"),
        is_suspended,
        _book(settings, clock),
    )


def _book(settings: DelivererSettings, clock: Clock) -> LinkBook | None:
    if not settings.decision_links_url:
        return None
    keys = SecretsManagerSigningKeys(
        lambda: client("secretsmanager"), settings.webhook_secret_arn, clock=clock
    )
    return LinkBook(DecisionLinks(keys, settings.table_name), settings.decision_links_url)


@logger.inject_lambda_context(clear_state=True)
@without_content
def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """One SQS batch; answers which messages must come back."""
    return run_batch(event, announce_task())
