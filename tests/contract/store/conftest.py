from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.contract.dynamodb_local import Unavailable, dynamodb_local
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import Bench, DynamoDbBench, MemoryBench


@pytest.fixture(scope="module")
def moto() -> Iterator[None]:
    with mocked_aws():
        yield


@pytest.fixture
def dynamodb(moto: None) -> Iterator[DynamoDbBench]:
    bench = DynamoDbBench()
    yield bench
    bench.close()


@pytest.fixture(scope="session")
def local_client() -> Iterator[Any]:
    with ExitStack() as stack:
        try:
            client = stack.enter_context(dynamodb_local())
        except Unavailable as exc:
            pytest.skip(f"DynamoDB Local: {exc}")
        yield client


@pytest.fixture
def dynamodb_local_bench(moto: None, local_client: Any) -> Iterator[DynamoDbBench]:
    """S3 stays with moto."""
    bench = DynamoDbBench(local_client)
    yield bench
    bench.close()


@pytest.fixture(params=["memory", "dynamodb", "dynamodb_local_bench"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "memory":
        return MemoryBench()
    found: DynamoDbBench = request.getfixturevalue(request.param)
    return found
