"""The response cache in memory: the same answers as DynamoDB, for tests."""

import threading
from dataclasses import dataclass

from ratchet.contracts.errors import ServiceRefused
from ratchet.domain import codec, keys
from ratchet.domain.cached_answers import CachedAnswer
from ratchet.ports import Clock
from ratchet.testing.store_rows import MAX_ITEM_BYTES


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer as an item would hold it."""

    body: bytes
    stored_at_ms: int
    expires_at: int


class InMemoryResponseCache:
    """The ResponseCache without AWS; safe to share between threads. Tests may look at `entries` and change them."""

    def __init__(self, clock: Clock) -> None:
        self.entries: dict[str, Entry] = {}
        self.reads = 0
        self.writes = 0
        self._clock = clock
        self._lock = threading.Lock()

    def get(self, tenant: str, digest: str) -> CachedAnswer | None:
        """What was answered, None if nothing or too long ago.

        Raises:
            DataMissing: it cannot be read.
        """
        with self._lock:
            self.reads += 1
            entry = self.entries.get(keys.cache_key(tenant, digest))
        if entry is None:
            return None
        answer = CachedAnswer.from_json(
            codec.unpack(entry.body),
            stored_at_ms=entry.stored_at_ms,
            expires_at=entry.expires_at,
        )
        return answer if answer.is_fresh(now_ms=self._clock.now_ms()) else None

    def put(self, tenant: str, digest: str, answer: CachedAnswer) -> None:
        """Keep an answer until it expires, in place of an earlier one.

        Raises:
            ServiceRefused: it is larger than an item may be.
        """
        body = codec.pack(answer.to_json())
        if len(body) > MAX_ITEM_BYTES:
            raise ServiceRefused("Item size has exceeded the maximum allowed size")
        with self._lock:
            self.writes += 1
            key = keys.cache_key(tenant, digest)
            self.entries[key] = Entry(body, answer.stored_at_ms, answer.expires_at)
