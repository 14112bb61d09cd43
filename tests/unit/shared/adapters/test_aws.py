"""What botocore's errors mean, and the clients themselves."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore import exceptions
from botocore.parsers import ResponseParserError

from ratchet.adapters import aws
from ratchet.contracts.errors import ServiceRefused, StoreUnavailable

URL = "https://dynamodb.us-east-1.amazonaws.com"


def answered(code: str, status: int = 400, **more: Any) -> exceptions.ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "the reason"},
        "ResponseMetadata": {"HTTPStatusCode": status},
        **more,
    }
    return exceptions.ClientError(response, "PutItem")


TRANSIENT: list[Exception] = [
    answered("ThrottlingException"),
    answered("ProvisionedThroughputExceededException"),
    answered("RequestLimitExceeded"),
    answered("TransactionConflictException"),
    answered("TransactionCanceledException", CancellationReasons=[{"Code": "ThrottlingError"}]),
    answered("SlowDown", 503),
    answered("Whatever", 500),
    answered("Whatever", 429),
    exceptions.ReadTimeoutError(endpoint_url=URL),
    exceptions.ConnectTimeoutError(endpoint_url=URL),
    exceptions.EndpointConnectionError(endpoint_url=URL),
    exceptions.ConnectionClosedError(endpoint_url=URL),
    exceptions.ResponseStreamingError(error="reset"),
    exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
    ResponseParserError("not JSON"),
]
FINAL: list[Exception] = [
    answered("AccessDeniedException"),
    answered("ResourceNotFoundException"),
    answered("ValidationException"),
    answered("UnrecognizedClientException"),
    answered("TransactionCanceledException", CancellationReasons=[{"Code": "ValidationError"}]),
    exceptions.NoCredentialsError(),
    exceptions.ParamValidationError(report="bad"),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_what_may_work_later_is_unavailable(error: Exception) -> None:
    assert isinstance(error, aws.AWS_ERRORS)
    assert isinstance(aws.store_error(error), StoreUnavailable)


@pytest.mark.parametrize("error", FINAL, ids=repr)
def test_what_cannot_work_is_refused_and_not_retryable(error: Exception) -> None:
    assert isinstance(error, aws.AWS_ERRORS)
    refused = aws.store_error(error)
    assert isinstance(refused, ServiceRefused)
    assert not refused.retryable


def test_a_refusal_names_the_operation_and_the_reason() -> None:
    text = str(aws.store_error(answered("AccessDeniedException")))
    assert "PutItem" in text
    assert "AccessDeniedException" in text


def test_only_meeting_a_transaction_is_a_conflict() -> None:
    conflict = answered(
        "TransactionCanceledException",
        CancellationReasons=[{"Code": "None"}, {"Code": "TransactionConflict"}],
    )
    assert aws.is_conflict(conflict)
    assert aws.is_conflict(answered("TransactionConflictException"))
    assert not aws.is_conflict(answered("ThrottlingException"))
    assert not aws.is_conflict(exceptions.ReadTimeoutError(endpoint_url=URL))


@pytest.fixture
def region(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    aws.forget_clients()
    yield
    aws.forget_clients()


@pytest.mark.usefixtures("region")
def test_there_is_one_client_of_a_service_however_many_threads_ask() -> None:
    with ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(lambda _: aws.client("sqs"), range(32)))
    assert len({id(client) for client in clients}) == 1


@pytest.mark.usefixtures("region")
def test_clients_are_bounded_in_time_and_tries() -> None:
    config: Any = aws.client("sqs").meta.config
    assert (config.connect_timeout, config.read_timeout) == (1, 3)
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}
    assert "ratchet" in config.user_agent_extra


@pytest.mark.usefixtures("region")
def test_forgotten_clients_are_made_anew() -> None:
    before = aws.client("sqs")
    aws.forget_clients()
    assert aws.client("sqs") is not before
