"""Requests and answers of the HTTP API about memory."""

from typing import Annotated, Any

from pydantic import Field

from ratchet.contracts import limits
from ratchet.contracts.wire import Answer, Request


class MemoryRequest(Request):
    """Body of `PUT /v1/memory/{namespace}/{key}`: any JSON of at most 8 KB, kept for ever or for `ttl_seconds`."""

    value: Any = Field(examples=["vegan"])
    ttl_seconds: Annotated[int, Field(ge=1, le=limits.MAX_MEMORY_TTL_SECONDS)] | None = None


class MemorySourceView(Answer):
    """Who wrote a memory last: a task with its agent, or a caller of the API.

    `is_untrusted` says that the task had read what strangers wrote, or what was remembered, before it did.
    """

    task_id: str | None
    agent: str | None
    principal: str | None
    is_untrusted: bool


class MemoryView(Answer):
    """A memory. `etag` changes with every write; `version` counts them."""

    namespace: str
    key: str
    value: Any
    version: int
    etag: str
    created_at: str
    updated_at: str
    expires_at: str | None
    source: MemorySourceView


class MemoryListView(Answer):
    """Memories of a namespace: in the order of their keys, or with a query the best first, all in one page."""

    namespace: str
    memories: list[MemoryView]
    next_cursor: str | None


class DeletedNamespaceView(Answer):
    """What `DELETE /v1/memory/{namespace}` deleted.

    With `tasks=true` also the user's schedules and ended tasks, and these in how many items. `open_task_ids` have not
    ended, so they stay, and may remember more: cancel them and send the request again, as when it is not `is_complete`.
    """

    namespace: str
    deleted_memories: int
    deleted_task_ids: list[str]
    deleted_items: int
    open_task_ids: list[str]
    is_complete: bool
    deleted_schedules: int = 0


class DeletedMemoryView(Answer):
    """What `DELETE /v1/memory/{namespace}/{key}` deleted: one."""

    namespace: str
    deleted_memories: int
