"""botocore clients: one per service and process, made on first use. boto3 adds nothing that we need but import time."""

import threading
from typing import TYPE_CHECKING, Any, Literal, overload

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
)
from botocore.parsers import ResponseParserError
from botocore.session import Session

from ratchet.contracts.errors import RatchetError, ServiceRefused, StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_scheduler.client import EventBridgeSchedulerClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient
    from mypy_boto3_sns.client import SNSClient
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_stepfunctions.client import SFNClient

AWS_ERRORS = (ClientError, BotoCoreError, ResponseParserError)
"""All that a botocore call raises on purpose."""

# Three tries of at most 3 s: a checkpoint that meets one dead connection still fits limits.TIME_RESERVE_SECONDS.
_CONFIG = Config(
    connect_timeout=1,
    read_timeout=3,
    retries={"mode": "standard", "total_max_attempts": 3},
    user_agent_extra="ratchet",
    request_checksum_calculation="when_required",  # payloads carry and are checked by their own sha256
    response_checksum_validation="when_required",
)
_CONFLICTS = frozenset({"TransactionConflict", "TransactionConflictException"})
_THROTTLED_WRITES = frozenset({"ProvisionedThroughputExceeded", "ThrottlingError"})
_TRANSIENT_CODES = _CONFLICTS | {
    "BandwidthLimitExceeded",
    "ExecutionLimitExceeded",
    "InternalError",
    "InternalServerError",
    "InternalServiceError",
    "KMS.ThrottlingException",
    "KmsThrottled",
    "LimitExceededException",
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingError",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
}

_lock = threading.Lock()
_session: list[Session] = []
_clients: dict[str, Any] = {}


@overload
def client(service: Literal["dynamodb"]) -> "DynamoDBClient": ...
@overload
def client(service: Literal["s3"]) -> "S3Client": ...
@overload
def client(service: Literal["scheduler"]) -> "EventBridgeSchedulerClient": ...
@overload
def client(service: Literal["secretsmanager"]) -> "SecretsManagerClient": ...
@overload
def client(service: Literal["sns"]) -> "SNSClient": ...
@overload
def client(service: Literal["sqs"]) -> "SQSClient": ...
@overload
def client(service: Literal["stepfunctions"]) -> "SFNClient": ...
def client(service: str) -> Any:
    """The process's client of a service; clients may be shared between threads."""
    with _lock:
        if service not in _clients:
            _clients[service] = _of_process().create_client(service, config=_CONFIG)
        return _clients[service]


def credentials() -> Any:
    """The process's credentials as they are now; those of a role are replaced in time.

    Raises:
        NoCredentialsError: it has none.
    """
    with _lock:
        found = _of_process().get_credentials()
    if found is None:
        raise NoCredentialsError
    return found.get_frozen_credentials()


def _of_process() -> Session:
    if not _session:
        _session.append(Session())
    return _session[0]


def forget_clients() -> None:
    """For tests: the next call makes new clients."""
    with _lock:
        _clients.clear()
        _session.clear()


def error_code(exc: BaseException) -> str:
    """The service's code of an error, or the exception's name when no answer came."""
    if isinstance(exc, ClientError):
        return str(exc.response.get("Error", {}).get("Code", "Unknown"))
    return type(exc).__name__


def is_conflict(exc: BaseException) -> bool:
    """Whether DynamoDB gave way to a transaction on the same item: the same request may work now."""
    return bool(_codes(exc) & _CONFLICTS)


def is_throttled_transaction(exc: BaseException) -> bool:
    """Whether DynamoDB canceled a transaction for want of throughput, which botocore does not try again."""
    is_canceled = error_code(exc) == "TransactionCanceledException"
    return is_canceled and bool(_codes(exc) & _THROTTLED_WRITES)


def store_error(exc: BaseException) -> RatchetError:
    """What an AWS error means: StoreUnavailable when the same request may work later, else ServiceRefused."""
    if _is_transient(exc):
        return StoreUnavailable(f"{_operation(exc)}: {error_code(exc)}")
    return ServiceRefused(f"{_operation(exc)} was refused: {exc}")


def _is_transient(exc: BaseException) -> bool:
    if not isinstance(exc, ClientError):
        return isinstance(
            exc, HTTPClientError | ConnectionError | IncompleteReadError | ResponseParserError
        )
    status = int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return status >= 500 or status == 429 or bool(_codes(exc) & _TRANSIENT_CODES)


def _codes(exc: BaseException) -> set[str]:
    if not isinstance(exc, ClientError):
        return set()
    reasons: Any = exc.response.get("CancellationReasons", ())
    return {error_code(exc), *(str(reason.get("Code")) for reason in reasons)}


def _operation(exc: BaseException) -> str:
    return exc.operation_name if isinstance(exc, ClientError) else "a call to AWS"
