"""The checkpoint store and what lies beside it, as the functions use them: made from their settings."""

from ratchet.adapters.aws import client
from ratchet.adapters.dynamodb import DynamoDbCheckpoints
from ratchet.adapters.dynamodb_batches import DynamoDbBatches
from ratchet.adapters.dynamodb_budgets import DynamoDbTenantBudgets
from ratchet.adapters.dynamodb_cache import DynamoDbResponseCache
from ratchet.adapters.dynamodb_goals import DynamoDbKnownGoals
from ratchet.adapters.dynamodb_memories import DynamoDbMemories
from ratchet.adapters.dynamodb_schedules import DynamoDbSchedules
from ratchet.adapters.dynamodb_suspensions import DynamoDbSuspensions
from ratchet.adapters.dynamodb_table import Table
from ratchet.adapters.payloads import S3Payloads
from ratchet.contracts.settings import StoreSettings
from ratchet.ports import Clock


def checkpoints(settings: StoreSettings, clock: Clock) -> DynamoDbCheckpoints:
    """The store in the deployment's table and bucket."""
    payloads = S3Payloads(lambda: client("s3"), settings.payload_bucket)
    return DynamoDbCheckpoints(
        client("dynamodb"), table=settings.table_name, payloads=payloads, clock=clock
    )


def batches(settings: StoreSettings, clock: Clock) -> DynamoDbBatches:
    """Batches in the deployment's table."""
    payloads = S3Payloads(lambda: client("s3"), settings.payload_bucket)
    return DynamoDbBatches(
        client("dynamodb"), table=settings.table_name, payloads=payloads, clock=clock
    )


def schedules(settings: StoreSettings, clock: Clock) -> DynamoDbSchedules:
    """The records of schedules in the deployment's table."""
    return DynamoDbSchedules(Table(client("dynamodb"), settings.table_name, clock), clock)


def response_cache(settings: StoreSettings, clock: Clock) -> DynamoDbResponseCache:
    """The response cache in the deployment's table."""
    return DynamoDbResponseCache(Table(client("dynamodb"), settings.table_name, clock), clock)


def known_goals(settings: StoreSettings, clock: Clock) -> DynamoDbKnownGoals:
    """The goals of semantic caches in the deployment's table."""
    return DynamoDbKnownGoals(Table(client("dynamodb"), settings.table_name, clock), clock)


def memories(settings: StoreSettings, clock: Clock) -> DynamoDbMemories:
    """What is remembered, in the same table."""
    return DynamoDbMemories(Table(client("dynamodb"), settings.table_name, clock), clock)


def tenant_budgets(settings: StoreSettings, clock: Clock) -> DynamoDbTenantBudgets:
    """The daily budgets of tenants, in the same table."""
    return DynamoDbTenantBudgets(client("dynamodb"), table=settings.table_name, clock=clock)


def suspensions(settings: StoreSettings) -> DynamoDbSuspensions:
    """The suspended tenants, in the same table."""
    return DynamoDbSuspensions(client("dynamodb"), table=settings.table_name)
