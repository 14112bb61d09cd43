"""Item bodies: packed, in the item while they are small, in S3 with their hash when they are not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ratchet.adapters.dynamodb_table import Item
from ratchet.adapters.payloads import Payloads
from ratchet.contracts.errors import DataMissing
from ratchet.contracts.limits import INLINE_BODY_BYTES
from ratchet.contracts.messages import TaskRef
from ratchet.domain import codec


@dataclass(frozen=True, slots=True)
class Bodies:
    """Turns JSON objects into the attributes that hold them, and back."""

    payloads: Payloads

    def write(self, ref: TaskRef, data: Mapping[str, Any]) -> Item:
        """The attributes `v` and `body` or `body_ref`; a large body is in S3 before its item exists."""
        body = codec.pack(data)
        version = {"v": {"N": str(codec.SCHEMA_VERSION)}}
        if len(body) <= INLINE_BODY_BYTES:
            return {**version, "body": {"B": body}}
        sha256 = self.payloads.put(ref, body)
        reference = {"sha256": {"S": sha256}, "size": {"N": str(len(body))}}
        return {**version, "body_ref": {"M": reference}}

    def read(self, ref: TaskRef, item: Item) -> dict[str, Any]:
        """The JSON object that an item holds.

        Raises:
            DataMissing: there is none, or it is damaged.
        """
        if "body" in item:
            return codec.unpack(item["body"]["B"])
        if "body_ref" not in item:
            raise DataMissing(f"{item['sk']['S']} of {ref.task_id} has no body")
        return codec.unpack(self.payloads.get(ref, item["body_ref"]["M"]["sha256"]["S"]))
