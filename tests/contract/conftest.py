"""A DynamoDB table as moto plays it, for the ports that need nothing else."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from ratchet.adapters import aws
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import create_table


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with mocked_aws():
        yield aws.client("dynamodb")


@pytest.fixture
def table(client: Any) -> Iterator[str]:
    name = f"checkpoints-{uuid.uuid1().hex}"
    create_table(client, name)
    yield name
    client.delete_table(TableName=name)
