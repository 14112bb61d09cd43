"""Memory: what outlives tasks and sessions, by namespace and key."""

from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Query

from functions.api.current import Routes, use_cases
from functions.api.parameters import PageSize
from ratchet.app.memory_views import erased_view, memories_view, memory_view
from ratchet.app.suspensions import refuse_suspended
from ratchet.app.user_erasure import Erased
from ratchet.contracts import limits
from ratchet.contracts.memory_api import (
    DeletedMemoryView,
    DeletedNamespaceView,
    MemoryListView,
    MemoryRequest,
    MemoryView,
)
from ratchet.contracts.names import MemoryScope, Scope
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.memory import Expected, Fact, Namespace, Note, Place, Source

routes = Routes()

_QUERY = "Words to look for in keys and values, whatever their case; most of them first, then the newest."
_TASKS = "Delete the user's schedules and ended tasks too, with all that they said and did; needs the scope admin."
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The ETag to be replaced.")]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", description="`*`: only if there is none.")
]


def _place(namespace: str, *, writes: bool = False) -> Place:
    """Where the caller may read, or write too."""
    caller = routes.caller
    found = Namespace.parse(namespace)
    caller.reach(found, writes=writes)
    return Place(caller.tenant, found)


def _expected(if_match: str | None, if_none_match: str | None = None) -> Expected:
    if if_none_match not in (None, "*"):
        raise InvalidRequest("If-None-Match: only * is understood, for a memory that must be new")
    if if_match is None:
        return Expected(is_absent=if_none_match is not None)
    tag = if_match.strip().removeprefix("W/").strip('"')
    return Expected(etag=tag, is_absent=if_none_match is not None)


def _shown(place: Place, fact: Fact) -> Response[MemoryView]:
    return Response(
        HTTPStatus.OK,
        content_type="application/json",
        body=memory_view(place.namespace, fact),
        headers={"ETag": f'"{fact.etag}"'},
    )


@routes.get(
    "/v1/memory/<namespace>",
    summary="List or search memories",
    operation_id="listMemories",
    tags=["memory"],
)
def list_memories(
    namespace: str,
    prefix: str = "",
    query: Annotated[
        str | None, Query(max_length=limits.MAX_MEMORY_QUERY_CHARS, description=_QUERY)
    ] = None,
    limit: PageSize = limits.DEFAULT_PAGE_SIZE,
    cursor: str | None = None,
) -> MemoryListView:
    """Of `tenant`, `agent:NAME` or `user:ID`; those whose keys begin with `prefix`, or hold words of `query`."""
    place, used = _place(namespace), use_cases()
    if not query:
        found, following = used.memory_lists(place, prefix=prefix, limit=limit, cursor=cursor)
        return memories_view(place.namespace, found, following)
    if cursor is not None:
        raise InvalidRequest("cursor: a search has one page; ask for more with limit")
    hits = used.memories.search(place, query, prefix=prefix, limit=limit)
    return memories_view(place.namespace, hits, None)


@routes.get(
    "/v1/memory/<namespace>/<key>",
    summary="Read a memory",
    operation_id="getMemory",
    tags=["memory"],
)
def get_memory(namespace: str, key: str) -> Response[MemoryView]:
    """What is remembered under a key, with its ETag."""
    place = _place(namespace)
    return _shown(place, use_cases().memories.read(place, key))


@routes.put(
    "/v1/memory/<namespace>/<key>",
    summary="Write a memory",
    operation_id="putMemory",
    tags=["memory"],
)
def put_memory(
    namespace: str,
    key: str,
    body: MemoryRequest,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response[MemoryView]:
    """In place of what the key held, if that is as `If-Match` or `If-None-Match` says."""
    place, used = _place(namespace, writes=True), use_cases()
    # What is written while the tenant is erased, or after it, would stay.
    refuse_suspended(is_suspended=used.submit.is_suspended(place.tenant))
    now_seconds = used.memories.clock.now_ms() // 1000
    note = Note(
        value=body.value,
        source=Source(principal=routes.caller.principal),
        write_id=used.submit.ids.attempt_id(),
        expires_at=None if body.ttl_seconds is None else now_seconds + body.ttl_seconds,
    )
    expected = _expected(if_match, if_none_match)
    return _shown(place, used.memories.write(place, key, note, expected=expected))


@routes.delete(
    "/v1/memory/<namespace>/<key>",
    summary="Delete a memory",
    operation_id="deleteMemory",
    tags=["memory"],
)
def delete_memory(namespace: str, key: str, if_match: IfMatch = None) -> DeletedMemoryView:
    """For good: nothing of it is kept but in the histories of the tasks that wrote or recalled it."""
    place = _place(namespace, writes=True)
    use_cases().memories.remove(place, key, expected=_expected(if_match))
    return DeletedMemoryView(namespace=str(place.namespace), deleted_memories=1)


@routes.delete(
    "/v1/memory/<namespace>",
    summary="Delete a namespace",
    operation_id="deleteMemories",
    tags=["memory"],
)
def delete_memories(
    namespace: str, tasks: Annotated[bool, Query(description=_TASKS)] = False
) -> DeletedNamespaceView:
    """All that is remembered there; with `tasks`, all that is kept of a user (up to 100 tasks a request)."""
    place, used = _place(namespace, writes=True), use_cases()
    if not tasks:
        gone = Erased(used.memories.clear(place), (), 0, (), is_complete=True)
        return erased_view(place.namespace, gone)
    if place.namespace.scope is not MemoryScope.USER:
        raise InvalidRequest("tasks: only a user's are deleted, so the namespace is user:ID")
    routes.caller.require(Scope.ADMIN, "deleting tasks")
    return erased_view(place.namespace, used.erase_user(place.tenant, place.namespace.owner))
