"""The bucket of the simulation: putting, getting and erasing large bodies are calls of their own, as on AWS."""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from ratchet.contracts.errors import DataMissing, StoreUnavailable
from ratchet.contracts.messages import TaskRef
from ratchet.domain import codec, keys
from ratchet.domain.steps import End, StepRecord
from ratchet.testing.store_rows import Body, InMemoryPayloads
from tests.simulation.calls import Errors, Network

T = TypeVar("T")

AWS = Errors(
    lambda: StoreUnavailable("throttled"), lambda: StoreUnavailable("the answer did not come")
)


class Bucket(InMemoryPayloads):
    """What S3 holds. The table's items only name large bodies; who calls the table puts and gets them, as on AWS."""

    def __init__(self, network: Network, inline_bytes: int) -> None:
        super().__init__()
        self._network = network
        self._inline_bytes = inline_bytes
        self._named: list[str] = []

    def write(self, ref: TaskRef, data: Mapping[str, Any]) -> Body:
        """What the item holds; the bytes of a large body are put before, by `put`."""
        packed = codec.pack(data)
        if len(packed) <= self._inline_bytes:
            return Body(packed)
        return Body(payload=keys.payload_key(ref, hashlib.sha256(packed).hexdigest()))

    def packed(self, body: Body) -> bytes:
        """A body as it is stored; notes that it has to be got."""
        if body.payload is not None:
            self._named.append(body.payload)
        return super().packed(body)

    def erase(self, ref: TaskRef) -> None:
        """Nothing: the table's caller has erased the bodies before, by `clear_of`."""

    def put(self, ref: TaskRef, data: Mapping[str, Any]) -> None:
        """PutObject, if the body is large."""
        body = self.write(ref, data)
        if body.payload is not None:
            key, packed = body.payload, codec.pack(data)
            self._network.call("payloads.put", lambda: self.update({key: packed}), AWS)

    def reading(self, effect: Callable[[], T]) -> tuple[T, list[str]]:
        """What the table answers, and the bodies that it names."""
        self._named = []
        answer = effect()
        return answer, self._named

    def fetch(self, names: list[str]) -> None:
        """GetObject, for each."""
        for key in names:
            self._network.call("payloads.get", partial(self._found, key), AWS)

    def clear_of(self, ref: TaskRef) -> None:
        """ListObjects and DeleteObjects."""
        self._network.call("payloads.erase", lambda: super(Bucket, self).erase(ref), AWS)

    def _found(self, key: str) -> None:
        if key not in self:
            raise DataMissing(f"the stored body {key} is gone")


def is_gone(body: Body, payloads: InMemoryPayloads) -> bool:
    """Whether an item names a body that is not there."""
    return body.payload is not None and body.payload not in payloads


def is_unreadable_end(record: StepRecord) -> bool:
    """Whether the task ended because what it did could not be read."""
    failure = record.next.failure if isinstance(record.next, End) else None
    return failure is not None and failure.code == DataMissing.code
