"""Memory: facts that outlive tasks and sessions, by namespace and key. Pure.

A namespace belongs to a user, an agent or the tenant, and to a tenant always. It holds a bounded number of facts, which
its shelf counts: never too few, so the bound holds, though what has expired is counted until somebody looks.
A change is made of what was read, and is written only if that has not changed since.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from ratchet.contracts import limits
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Json, MemoryScope
from ratchet.contracts.request_errors import (
    InvalidRequest,
    MemoryChanged,
    MemoryFull,
    MemoryTooLarge,
)

_AGENT = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_ENCODED = "user64"


@dataclass(frozen=True, slots=True)
class Namespace:
    """Whose memory it is: `user:ann`, `agent:support`, or `tenant`."""

    scope: MemoryScope
    owner: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The namespace of its text; `user64:` and the base64url of an id names a user whose id fits into no path.

        Raises:
            InvalidRequest: it is none.
        """
        kind, _, owner = text.partition(":")
        if kind == _ENCODED:
            kind, owner = MemoryScope.USER.value, _decoded(owner)
        if text == MemoryScope.TENANT.value:
            return cls(MemoryScope.TENANT)
        if kind == MemoryScope.USER.value and 1 <= len(owner) <= limits.MAX_USER_ID_CHARS:
            return cls(MemoryScope.USER, owner)
        if kind == MemoryScope.AGENT.value and _AGENT.fullmatch(owner):
            return cls(MemoryScope.AGENT, owner)
        raise InvalidRequest(
            f"{text[:40]!r} is no namespace: use tenant, agent:NAME or user:ID (or user64: and the base64url of the id)"
        )

    def __str__(self) -> str:
        return f"{self.scope}:{self.owner}" if self.owner else self.scope.value


@dataclass(frozen=True, slots=True)
class Place:
    """Where facts of a tenant are kept."""

    tenant: str
    namespace: Namespace


@dataclass(frozen=True, slots=True)
class Source:
    """Who wrote a fact: a task and its agent, or a caller of the API.

    `is_untrusted` says that the task had read what strangers wrote (or what was remembered) before it.
    """

    task_id: str | None = None
    agent: str | None = None
    principal: str | None = None
    is_untrusted: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """What is remembered under a key. `expires_at` is in epoch seconds; `write_id` differs with every write."""

    key: str
    value: Json
    version: int
    created_at_ms: int
    updated_at_ms: int
    source: Source
    write_id: str
    expires_at: int | None = None

    @property
    def etag(self) -> str:
        """Changes with every write, also of a fact that was deleted and came again."""
        return hashlib.sha256(self.write_id.encode()).hexdigest()[:16]

    @property
    def text(self) -> str:
        """The value as a model reads it."""
        return self.value if isinstance(self.value, str) else compact(self.value)

    def is_over(self, *, now_ms: int) -> bool:
        """Whether nobody can read it any more, though it may not be deleted yet."""
        return self.expires_at is not None and now_ms >= self.expires_at * 1000


@dataclass(frozen=True, slots=True)
class Shelf:
    """How many facts a namespace holds, at the most. `revision` grows with every one that comes or goes.

    `expires_at` is when the last of them has expired; None when one never does.
    """

    facts: int = 0
    revision: int = 0
    expires_at: int | None = 0


@dataclass(frozen=True, slots=True)
class MemoryCall:
    """A tool call that changes a memory: it does so once, however often it is made, and not after its step."""

    ref: TaskRef
    step: int
    key: str  # its idempotency key


@dataclass(frozen=True, slots=True)
class Done:
    """What a tool call has done: which key of which namespace it has written or deleted, and how it was asked to."""

    namespace: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class Look:
    """What was read of a place before a change: the fact, even if it is over, and what the call has done before."""

    place: Place
    key: str
    stored: Fact | None
    shelf: Shelf
    done: Done | None = None

    def living(self, *, now_ms: int) -> Fact | None:
        """The fact, if it can still be read."""
        over = self.stored is None or self.stored.is_over(now_ms=now_ms)
        return None if over else self.stored


class RememberedByTask(Protocol):
    """Memory as one tool call of a task meets it; every answer is text for the model."""

    def remember(self, scope: MemoryScope, key: str, text: str, *, ttl_seconds: int | None) -> str:
        """Keep a text under a key."""
        ...

    def recall(self, scopes: Sequence[MemoryScope], query: str) -> str:
        """What is remembered in these scopes and holds words of the query."""
        ...

    def forget(self, scope: MemoryScope, key: str) -> str:
        """Delete what is kept under a key."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """The fact and the shelf anew, if both are as they were read: None deletes the fact, a shelf of none itself.

    With a call, its mark is written too, and the step must not be committed.
    """

    seen: Look
    fact: Fact | None
    shelf: Shelf
    call: MemoryCall | None = None
    done: Done | None = None

    @property
    def moves_shelf(self) -> bool:
        """Whether the shelf is written."""
        return self.shelf != self.seen.shelf


@dataclass(frozen=True, slots=True)
class Expected:
    """What a caller takes the fact to be: of this tag, there at all (`*`), or absent."""

    etag: str | None = None
    is_absent: bool = False

    def check(self, fact: Fact | None) -> None:
        """Refuse what is not so.

        Raises:
            MemoryChanged: it says what there is.
        """
        if self.is_absent and fact is not None:
            raise MemoryChanged(f"there is a memory {fact.key!r} already, with ETag {fact.etag}")
        if self.etag is None or (fact is not None and self.etag in ("*", fact.etag)):
            return
        found = "there is none" if fact is None else f"its ETag is {fact.etag}"
        raise MemoryChanged(f"the memory is not the one you have read: {found}; read it again")


@dataclass(frozen=True, slots=True)
class Note:
    """What is to be remembered."""

    value: Json
    source: Source
    write_id: str
    expires_at: int | None = None

    def check(self) -> None:
        """Refuse a value that is too large, or that JSON has no words for.

        Raises:
            MemoryTooLarge, InvalidRequest
        """
        try:
            size = len(compact(self.value).encode())
        except ValueError as exc:
            raise InvalidRequest(
                "value: NaN, Infinity and halves of surrogate pairs (\\ud800 to \\udfff) are no JSON"
            ) from exc
        if size > limits.MAX_MEMORY_BYTES:
            raise MemoryTooLarge(
                f"the value has {size} bytes as JSON; the limit is {limits.MAX_MEMORY_BYTES}: "
                "keep documents elsewhere, and remember where"
            )


def written(look: Look, note: Note, *, now_ms: int, held: int | None = None) -> Change:
    """The change that remembers a note under the key that was looked at.

    `held` is how many facts there are, where somebody has counted them since the shelf was read.

    Raises:
        MemoryFull: it is one more than the namespace may hold, by the shelf's count.
    """
    before, shelf = look.living(now_ms=now_ms), look.shelf
    until = _later(shelf.expires_at, note.expires_at)
    facts = shelf.facts if held is None else held
    if before is None and facts >= limits.MAX_MEMORIES:
        raise MemoryFull(
            f"{look.place.namespace} holds {limits.MAX_MEMORIES} memories; delete one first, "
            "or write over one under its key"
        )
    if before is None:
        shelf = Shelf(facts + 1, shelf.revision + 1, until)
    elif until != shelf.expires_at:
        shelf = Shelf(shelf.facts, shelf.revision + 1, until)
    fact = Fact(
        key=look.key,
        value=note.value,
        version=before.version + 1 if before else 1,
        created_at_ms=before.created_at_ms if before else now_ms,
        updated_at_ms=now_ms,
        source=note.source,
        write_id=note.write_id,
        expires_at=note.expires_at,
    )
    return Change(look, fact, shelf)


def removed(look: Look) -> Change:
    """The change that deletes the fact that was looked at."""
    shelf = look.shelf
    return Change(look, None, Shelf(max(shelf.facts - 1, 0), shelf.revision + 1, shelf.expires_at))


def best(facts: Sequence[Fact], query: str) -> list[Fact]:
    """The facts that hold words of the query in key or value, whatever their case: most words first, then newest.

    A word also counts within a longer one, since not every script divides its words. No words find everything.
    """
    words = set(query.casefold().split())
    found = [(sum(word in _searched(fact) for word in words), fact) for fact in facts]
    hits = [(score, fact) for score, fact in found if score or not words]
    hits.sort(key=lambda hit: (-hit[0], -hit[1].updated_at_ms, hit[1].key))
    return [fact for _, fact in hits]


def digest_of(*words: Json) -> str:
    """What a tool call was asked to do, in few characters."""
    return hashlib.sha256(compact(list(words)).encode(errors="replace")).hexdigest()[:16]


def compact(value: Json) -> str:
    """JSON text."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _searched(fact: Fact) -> str:
    return f"{fact.key} {fact.text}".casefold()


def _later(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one, other)


def _decoded(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""
