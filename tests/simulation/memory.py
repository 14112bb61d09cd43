"""Pure functions of our code that remember what they answered, and what of a history they have read: it saves time."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any, Generic, TypeVar
from unittest.mock import patch

from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Purpose
from ratchet.domain import codec, escalation, prompt
from ratchet.domain.messages import message_bytes
from ratchet.domain.session_codec import decode_session
from ratchet.domain.steps import StepRecord
from ratchet.domain.task import History, Task
from ratchet.testing import store_sessions
from ratchet.testing.store_rows import Body, Head, InMemoryPayloads

T = TypeVar("T")
R = TypeVar("R")

ENTRIES = 4096
SMALL = 4096  # larger ones are not kept: four thousand of them would fill the memory


@contextmanager
def remembering() -> Iterator[None]:
    """While this lasts, small bodies are packed, unpacked and decoded once."""
    record = lru_cache(ENTRIES)(_decode_record)
    task = lru_cache(ENTRIES)(_decode_task)

    def remembered_record(self: InMemoryPayloads, body: Body) -> StepRecord:
        packed = self.packed(body)
        return (record if len(packed) < SMALL else _decode_record)(packed)

    def remembered_task(self: InMemoryPayloads, head: Head) -> Task:
        packed = self.packed(head.body)
        decode = task if len(packed) < SMALL else _decode_task
        return decode(head.ref, head.created_at_ms, packed)

    with (
        patch.object(codec, "pack", _Again(_packing(codec.pack))),
        patch.object(codec, "encode_record", _Again(codec.encode_record)),
        patch.object(codec, "encode_task", _Again(codec.encode_task)),
        patch.object(codec, "encode_plan", _Again(codec.encode_plan)),
        patch.object(prompt, "tool_bytes", _measuring(prompt.tool_bytes)),
        patch.object(escalation, "_canonical", lru_cache(ENTRIES)(escalation._canonical)),
        patch.object(InMemoryPayloads, "read_record", remembered_record),
        patch.object(InMemoryPayloads, "read_task", remembered_task),
        patch.object(store_sessions, "decode_session", lru_cache(ENTRIES)(decode_session)),
    ):
        yield


def _decode_record(packed: bytes) -> StepRecord:
    return codec.decode_record(codec.unpack(packed))


def _decode_task(ref: TaskRef, created_at_ms: int, packed: bytes) -> Task:
    return codec.decode_task(ref, created_at_ms, codec.unpack(packed))


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


class _Again(Generic[T, R]):
    """A function that is often asked about a value twice in a row, to put it and to name it: nobody changes it."""

    def __init__(self, function: Callable[[T], R]) -> None:
        self._function = function
        self._last: tuple[T, R] | None = None

    def __call__(self, value: T) -> R:
        if self._last is None or self._last[0] is not value:
            self._last = value, self._function(value)
        return self._last[1]


@contextmanager
def growing() -> Iterator[None]:
    """While this lasts, a history of thousands of steps is not read from its beginning at every step."""
    with (
        patch.object(History, "results", property(_Flattened("results"))),
        patch.object(History, "work", property(_Flattened("work"))),
        patch.object(History, "messages", property(_Flattened("messages"))),
        patch.object(prompt, "message_bytes", _measuring(message_bytes)),
    ):
        yield


class _Flattened:
    """A property of History that grows by what is in each new record; remembers what it was up to the last one."""

    def __init__(self, name: str) -> None:
        self._read: Callable[[History], list[Any]] = vars(History)[name].fget
        self._records: tuple[StepRecord, ...] = ()
        self._found: list[Any] = []

    def __call__(self, history: History) -> list[Any]:
        records, known = history.records, len(self._records)
        # Records are added at the end only, so histories with the same record in the same place have the same before.
        is_longer = known and len(records) >= known and records[known - 1] is self._records[-1]
        new = records[known:]
        if not is_longer or any(r.result.purpose is not Purpose.WORK for r in new):
            self._found = self._read(history)
        elif new:
            task = replace(
                history.task, fork=None
            )  # what a fork inherits was read with the first record
            self._found = self._found + self._read(replace(history, task=task, records=new))
        self._records = records
        return list(self._found)


def _measuring(measure: Callable[[T], int]) -> Callable[[T], int]:
    """`measure`, which is asked once for each message, or tool: nobody changes them."""
    known: dict[
        int, tuple[T, int]
    ] = {}  # by identity; holds the thing, so that no other gets its id

    def size(thing: T) -> int:
        found = known.get(id(thing))
        if found is None:
            found = known[id(thing)] = thing, measure(thing)
        return found[1]

    return size
