"""The response cache in DynamoDB: one item per question, which TTL takes when the answer has expired.

An answer lies in its item whole, never in S3: nothing would erase its body there once TTL has taken the item. That is
no loss, since a model's longest answer (limits.MAX_OUTPUT_TOKENS) packs into a fraction of what an item may hold.
"""

from ratchet.adapters.dynamodb_items import key, number
from ratchet.adapters.dynamodb_table import Item, Table
from ratchet.contracts.errors import DataMissing
from ratchet.domain import codec, keys
from ratchet.domain.cached_answers import CachedAnswer
from ratchet.ports import Clock


class DynamoDbResponseCache:
    """The ResponseCache on AWS."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def get(self, tenant: str, digest: str) -> CachedAnswer | None:
        """What was answered, None if nothing or too long ago.

        Raises:
            StoreUnavailable, ServiceRefused
            DataMissing: it cannot be read.
        """
        item = self._table.get(_key(tenant, digest))
        if item is None:
            return None
        answer = _answer(item)
        return answer if answer.is_fresh(now_ms=self._clock.now_ms()) else None

    def put(self, tenant: str, digest: str, answer: CachedAnswer) -> None:
        """Keep an answer until it expires, in place of an earlier one.

        Raises:
            StoreUnavailable, ServiceRefused
        """
        item = {
            **_key(tenant, digest),
            "v": number(codec.SCHEMA_VERSION),
            "body": {"B": codec.pack(answer.to_json())},
            "stored_at": number(answer.stored_at_ms),
            "expires_at": number(answer.expires_at),
        }
        self._table.put({"Item": item})


def _key(tenant: str, digest: str) -> Item:
    return key(keys.cache_key(tenant, digest), keys.CACHED)


def _answer(item: Item) -> CachedAnswer:
    try:
        body, stored_at_ms = item["body"]["B"], int(item["stored_at"]["N"])
        expires_at = int(item["expires_at"]["N"])
    except (KeyError, ValueError) as exc:
        raise DataMissing(f"a cached answer lacks {exc}") from exc
    return CachedAnswer.from_json(
        codec.unpack(body), stored_at_ms=stored_at_ms, expires_at=expires_at
    )
