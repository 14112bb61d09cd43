"""Pure functions of our code that remember what they answered: it saves time."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from unittest.mock import patch

from ratchet.contracts.messages import TaskRef
from ratchet.domain import codec
from ratchet.domain.steps import StepRecord
from ratchet.domain.task import Task
from ratchet.testing.store_rows import Body, Head, InMemoryPayloads

ENTRIES = 4096
SMALL = 4096  # larger ones are not kept: four thousand of them would fill the memory


@contextmanager
def remembering() -> Iterator[None]:
    """While this lasts, small bodies are packed, unpacked and decoded once."""
    record = lru_cache(ENTRIES)(lambda inline: codec.decode_record(codec.unpack(inline)))
    task = lru_cache(ENTRIES)(_decode_task)
    read_record, read_task = InMemoryPayloads.read_record, InMemoryPayloads.read_task

    def remembered_record(self: InMemoryPayloads, body: Body) -> StepRecord:
        if body.payload is None and len(body.inline) < SMALL:
            return record(body.inline)
        return read_record(self, body)

    def remembered_task(self: InMemoryPayloads, head: Head) -> Task:
        if head.body.payload is None and len(head.body.inline) < SMALL:
            return task(head.ref, head.created_at_ms, head.body.inline)
        return read_task(self, head)

    with (
        patch.object(codec, "pack", _packing(codec.pack)),
        patch.object(InMemoryPayloads, "read_record", remembered_record),
        patch.object(InMemoryPayloads, "read_task", remembered_task),
    ):
        yield


def _decode_task(ref: TaskRef, created_at_ms: int, inline: bytes) -> Task:
    return codec.decode_task(ref, created_at_ms, codec.unpack(inline))


def _packing(pack: Callable[[Mapping[str, Any]], bytes]) -> Callable[[Mapping[str, Any]], bytes]:
    """`pack`, which is asked once for each text: JSON objects that look the same are packed the same."""
    known: dict[str, bytes] = {}

    def packed(data: Mapping[str, Any]) -> bytes:
        text = repr(data)
        if len(text) > SMALL:
            return pack(data)
        found = known.get(text)
        if found is None:
            if len(known) >= ENTRIES:
                known.clear()
            found = known[text] = pack(data)
        return found

    return packed
