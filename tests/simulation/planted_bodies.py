"""Planted bugs about what is stored and shown: bodies in the bucket, words where none may be."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ratchet.app.announce_task import AnnounceTask
from ratchet.app.execute_step import ExecuteStep
from ratchet.contracts.errors import StoreUnavailable
from ratchet.observability import logger
from tests.simulation.bodies import Bucket
from tests.simulation.bugs import planted


@contextmanager
def no_put() -> Iterator[None]:
    """An item names a body that nobody has put."""
    with planted(Bucket, "put", lambda *_: None):
        yield


@contextmanager
def careless_put() -> Iterator[None]:
    """A body that could not be put is taken for put."""
    original = Bucket.put

    def put(self: Any, ref: Any, data: Any) -> None:
        try:
            original(self, ref, data)
        except StoreUnavailable:
            return

    with planted(Bucket, "put", put):
        yield


@contextmanager
def no_clearing() -> Iterator[None]:
    """A task is erased without its bodies."""
    with planted(Bucket, "clear_of", lambda *_: None):
        yield


@contextmanager
def talkative_log() -> Iterator[None]:
    """The deliverer logs what it delivers."""
    original = AnnounceTask._deliver

    def deliver(self: Any, announcer: Any, event: Any, *given: Any) -> int | None:
        logger.info("delivering", extra={"body": event.body.decode()})
        return original(self, announcer, event, *given)

    with planted(AnnounceTask, "_deliver", deliver):
        yield


@contextmanager
def talkative_error() -> Iterator[None]:
    """A step that could not be committed says what was in it."""
    original = ExecuteStep._commit

    def commit(self: Any, history: Any, record: Any, event: Any) -> Any:
        try:
            return original(self, history, record, event)
        except StoreUnavailable as exc:
            raise StoreUnavailable(f"could not write {record}") from exc

    with planted(ExecuteStep, "_commit", commit):
        yield
