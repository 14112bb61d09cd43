"""API keys in the one table: the record with its tenant, and a pointer that finds the tenant of an id.

The record alone says whether a key opens, so one write revokes it. A pointer without a record opens nothing, and a
record without a pointer (a crash between the two writes) is a key that nobody was shown.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ratchet.adapters.aws import AWS_ERRORS, error_code, store_error
from ratchet.contracts.names import Scope
from ratchet.domain import keys
from ratchet.domain.api_keys import ApiKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

Item = dict[str, Any]


class DynamoDbApiKeys:
    """ApiKeys on AWS."""

    def __init__(self, client: "DynamoDBClient", *, table: str) -> None:
        self._client = client
        self._table = table

    def add(self, key: ApiKey) -> None:
        """Keep a new key."""
        self.replace(key)
        self._put({**_key(keys.api_key_pointer(key.id), keys.API_KEY), "tenant": {"S": key.tenant}})

    def replace(self, key: ApiKey) -> bool:
        """Keep a key's new state, unless it is revoked: who read it before that must not open it again."""
        return self._put(_to_item(key), ConditionExpression="attribute_not_exists(revoked_at)")

    def find(self, key_id: str) -> ApiKey | None:
        """The key of that id: strongly consistent, so that a revoked one is not seen open."""
        pointer = self._get(_key(keys.api_key_pointer(key_id), keys.API_KEY))
        if pointer is None:
            return None
        tenant = str(pointer["tenant"]["S"])
        item = self._get(_key(keys.api_keys_key(tenant), keys.api_key_sort_key(key_id)))
        return None if item is None else _from_item(item, tenant)

    def of_tenant(self, tenant: str) -> Sequence[ApiKey]:
        """The tenant's keys, oldest first."""
        where: Item = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": keys.api_keys_key(tenant)}},
            "ConsistentRead": True,
        }
        found: list[ApiKey] = []
        try:
            for page in self._client.get_paginator("query").paginate(**where):
                found += [_from_item(item, tenant) for item in page["Items"]]
        except AWS_ERRORS as exc:
            raise store_error(exc) from exc
        return sorted(found, key=lambda key: (key.created_at_ms, key.id))

    def _get(self, key: Item) -> Item | None:
        try:
            found = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        except AWS_ERRORS as exc:
            raise store_error(exc) from exc
        item: Item | None = found.get("Item")
        return item

    def _put(self, item: Item, **condition: Any) -> bool:
        try:
            self._client.put_item(TableName=self._table, Item=item, **condition)
        except AWS_ERRORS as exc:
            if error_code(exc) == "ConditionalCheckFailedException":
                return False
            raise store_error(exc) from exc
        return True


def _key(partition: str, sort: str) -> Item:
    return {"pk": {"S": partition}, "sk": {"S": sort}}


def _to_item(key: ApiKey) -> Item:
    item = {
        **_key(keys.api_keys_key(key.tenant), keys.api_key_sort_key(key.id)),
        "digest": {"S": key.digest},
        "scopes": {"S": " ".join(sorted(key.scopes))},
        "created_at": {"N": str(key.created_at_ms)},
        "name": {"S": key.name},
    }
    if key.user is not None:
        item["user_id"] = {"S": key.user}
    # Not `expires_at`: by that name DynamoDB would delete the record of the key.
    for name, value in (("ends_at", key.expires_at_ms), ("revoked_at", key.revoked_at_ms)):
        if value is not None:
            item[name] = {"N": str(value)}
    return item


def _from_item(item: Item, tenant: str) -> ApiKey:
    return ApiKey(
        id=keys.api_key_id(item["sk"]["S"]),
        tenant=tenant,
        digest=item["digest"]["S"],
        scopes=frozenset(Scope(word) for word in item["scopes"]["S"].split()),
        created_at_ms=int(item["created_at"]["N"]),
        name=item["name"]["S"],
        user=item["user_id"]["S"] if "user_id" in item else None,
        expires_at_ms=int(item["ends_at"]["N"]) if "ends_at" in item else None,
        revoked_at_ms=int(item["revoked_at"]["N"]) if "revoked_at" in item else None,
    )
