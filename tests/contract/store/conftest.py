from collections.abc import Iterator

import pytest

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


@pytest.fixture(params=["memory", "dynamodb"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "memory":
        return MemoryBench()
    found: DynamoDbBench = request.getfixturevalue("dynamodb")
    return found
