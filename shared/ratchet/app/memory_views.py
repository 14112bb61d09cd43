"""How memories look from outside."""

from collections.abc import Sequence

from ratchet.app.user_erasure import Erased
from ratchet.contracts.memory_api import (
    DeletedNamespaceView,
    MemoryListView,
    MemorySourceView,
    MemoryView,
)
from ratchet.domain.memory import Fact, Namespace
from ratchet.domain.rfc3339 import timestamp


def erased_view(namespace: Namespace, erased: Erased) -> DeletedNamespaceView:
    """What was deleted."""
    return DeletedNamespaceView(
        namespace=str(namespace),
        deleted_memories=erased.memories,
        deleted_task_ids=list(erased.task_ids),
        deleted_items=erased.items,
        open_task_ids=list(erased.open_task_ids),
        is_complete=erased.is_complete,
        deleted_schedules=erased.schedules,
    )


def memory_view(namespace: Namespace, fact: Fact) -> MemoryView:
    """One memory."""
    source = fact.source
    return MemoryView(
        namespace=str(namespace),
        key=fact.key,
        value=fact.value,
        version=fact.version,
        etag=fact.etag,
        created_at=timestamp(fact.created_at_ms),
        updated_at=timestamp(fact.updated_at_ms),
        expires_at=None if fact.expires_at is None else timestamp(fact.expires_at * 1000),
        source=MemorySourceView(
            task_id=source.task_id,
            agent=source.agent,
            principal=source.principal,
            is_untrusted=source.is_untrusted,
        ),
    )


def memories_view(
    namespace: Namespace, facts: Sequence[Fact], next_cursor: str | None
) -> MemoryListView:
    """A page of them."""
    return MemoryListView(
        namespace=str(namespace),
        memories=[memory_view(namespace, fact) for fact in facts],
        next_cursor=next_cursor,
    )
