"""A transaction that fails leaves nothing behind: as moto does it with copies of tables, so do we without."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from random import Random
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from ratchet.local.patches import dynamodb
from tests.figures import Tell

Json = Any
SEED = 7
TRANSACTIONS = 150
KEYS = [(f"p{p}", f"s{s}") for p in range(2) for s in range(3)]
_KINDS = 3 * ("Put", "Update") + 2 * ("Delete",) + ("ConditionCheck", "Refused", "Wrong")


@pytest.fixture(params=["stream", "no stream"])
def with_stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "stream")


def test_transactions_end_as_they_do_in_stock_moto(with_stream: bool, tell: Tell) -> None:
    ours = _history(with_stream, is_stock=False)
    stock = _history(with_stream, is_stock=True)
    assert ours == stock
    refused = sum(answer != "done" for answer, _ in ours)
    assert TRANSACTIONS / 5 < refused < TRANSACTIONS * 4 / 5
    tell(
        f"transactions {'with' if with_stream else 'without'} a stream: {TRANSACTIONS}, of which {refused} "
        f"were refused, as in stock moto, seed {SEED}"
    )


def _history(with_stream: bool, *, is_stock: bool) -> list[tuple[str, Json]]:
    """What each transaction was answered, and what the table held then."""
    dice = Random(SEED)
    with ExitStack() as cleanup:
        for patch in dynamodb.install() if is_stock else ():
            cleanup.enter_context(patch.suspended())
        cleanup.enter_context(mock_aws())
        client = boto3.client("dynamodb", region_name="us-east-1")
        _create_table(client, with_stream)
        return [_transact(client, list(_operations(dice))) for _ in range(TRANSACTIONS)]


def _transact(client: Any, operations: list[Json]) -> tuple[str, Json]:
    try:
        client.transact_write_items(TransactItems=operations)
        answer = "done"
    except ClientError as exc:
        answer = str(exc)
    items = client.scan(TableName="t")["Items"]
    return answer, sorted(items, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))


def _operations(dice: Random) -> Iterator[Json]:
    some = dice.sample(KEYS, dice.randrange(1, 4))
    if dice.random() < 0.1:
        some.append(some[0])  # twice in one transaction, which is refused
    for pk, sk in some:
        kind = dice.choice(_KINDS)
        yield _OPERATION[kind]({"pk": {"S": pk}, "sk": {"S": sk}}, str(dice.randrange(100)))


def _create_table(client: Any, with_stream: bool) -> None:
    keys = (("pk", "HASH"), ("sk", "RANGE"))
    stream = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    client.create_table(
        TableName="t",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
        **({"StreamSpecification": stream} if with_stream else {}),
    )


def _update(key: Json, number: str) -> Json:
    return {
        "Update": {
            "TableName": "t",
            "Key": key,
            "UpdateExpression": "SET n = :n ADD total :n",
            "ExpressionAttributeValues": {":n": {"N": number}},
        }
    }


def _check(key: Json, condition: str) -> Json:
    return {"ConditionCheck": {"TableName": "t", "Key": key, "ConditionExpression": condition}}


_OPERATION: dict[str, Callable[[Json, str], Json]] = {
    "Put": lambda key, n: {"Put": {"TableName": "t", "Item": {**key, "n": {"N": n}}}},
    "Update": _update,
    "Delete": lambda key, _: {"Delete": {"TableName": "t", "Key": key}},
    "ConditionCheck": lambda key, n: _check(
        key, "attribute_exists(pk)" if int(n) % 2 else "attribute_not_exists(pk)"
    ),
    "Refused": lambda key, _: _check(key, "attribute_exists(nothing)"),
    "Wrong": lambda key, _: {"Delete": {"TableName": "t", "Key": {"pk": key["pk"]}}},
}
