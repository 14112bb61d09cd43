"""What `ratchet tenants` works with, where the deployment is."""

from collections.abc import Mapping

from ratchet.adapters.dynamodb import DynamoDbCheckpoints
from ratchet.adapters.dynamodb_holdings import DynamoDbHoldings
from ratchet.adapters.dynamodb_schedules import DynamoDbSchedules
from ratchet.adapters.dynamodb_suspensions import DynamoDbSuspensions
from ratchet.adapters.dynamodb_table import Table
from ratchet.adapters.eventbridge_scheduler import EventBridgeTimers
from ratchet.adapters.payloads import S3Holdings, S3Payloads
from ratchet.adapters.stepfunctions import StepFunctionsWorkflow
from ratchet.adapters.system import SystemClock
from ratchet.app.erase_tenant import EraseTenant
from ratchet.app.manage_tenants import ManageTenants
from ratchet.app.schedule_holdings import ScheduleHoldings
from ratchet.cli.config import ApiConfig
from ratchet.cli.operator import Operator
from ratchet.cli.webhook_secret_command import stored_keys
from ratchet.domain.webhook_keys import WebhookKeys


class WebhookRotations:
    """The TenantHoldings of the webhook secret: the rotations of the tenant's endpoints."""

    def __init__(self, config: ApiConfig, stack: str) -> None:
        self._config = config
        self._stack = stack

    def erase(self, tenant: str) -> Mapping[str, int]:
        """Forget the rotations; how many there were."""
        keys = stored_keys(self._config, self._stack)
        found = _rotations(keys) - _rotations(keys.without(tenant))
        if found:
            stored_keys(self._config, self._stack, change=lambda keys: keys.without(tenant))
        return {"webhook secret rotations": found}


def managing(operator: Operator) -> ManageTenants:
    """The suspensions of the deployment."""
    table = operator.outputs["TableName"]
    return ManageTenants(
        DynamoDbSuspensions(operator.client("dynamodb"), table=table), SystemClock()
    )


def erasing(operator: Operator, stack: str) -> tuple[EraseTenant, int]:
    """The use case, and how large the table is."""
    table, bucket = operator.outputs["TableName"], operator.outputs["PayloadBucketName"]
    dynamodb, s3 = operator.client("dynamodb"), operator.client("s3")
    clock = SystemClock()
    payloads = S3Payloads(lambda: s3, bucket)
    items = DynamoDbHoldings(dynamodb, table=table, clock=clock)
    timers = EventBridgeTimers(
        lambda: operator.client("scheduler"), operator.outputs["ScheduleGroupName"]
    )
    schedules = DynamoDbSchedules(Table(dynamodb, table, clock), clock)
    machine = operator.outputs["StateMachineArn"]
    erase = EraseTenant(
        managing(operator),
        DynamoDbCheckpoints(dynamodb, table=table, payloads=payloads, clock=clock),
        StepFunctionsWorkflow(operator.client("stepfunctions"), machine),
        (
            ScheduleHoldings(schedules, timers),
            WebhookRotations(operator.config, stack),
            S3Holdings(lambda: s3, bucket),
            items,
        ),
    )
    return erase, items.bytes()


def _rotations(keys: WebhookKeys) -> int:
    return len(keys.rotations)
