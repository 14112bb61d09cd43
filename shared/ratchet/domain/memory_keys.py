"""The keys of memory; part of the list in `ratchet.domain.keys`."""

from ratchet.domain.keys import UnsafeKey, is_session_id, tenant_key

MEMORIES = "MEMORY"
MEMORY = "KEY#"


def is_memory_key(text: str) -> bool:
    """Whether something can be remembered under a caller's text: what may name a session may."""
    return is_session_id(text)


def memory_key(tenant: str, namespace: str) -> str:
    """The partition of a namespace; it stands last, as a user's id may hold any character."""
    return f"{tenant_key(tenant)}#MEMORY#{namespace}"


def memory_sort_key(key: str) -> str:
    """Sort key of what is remembered under a key."""
    return f"{MEMORY}{_checked(key)}"


def memory_of(sort_key: str) -> str:
    """The key of a memory: the inverse of `memory_sort_key`."""
    return sort_key.removeprefix(MEMORY)


def memory_prefix(prefix: str) -> str:
    """What the sort keys of the memories begin with whose keys begin so."""
    return f"{MEMORY}{_checked(prefix)}" if prefix else MEMORY


def remembered_sort_key(step: int, idempotency_key: str) -> str:
    """Sort key of the mark that a tool call of a step has changed a memory."""
    return f"MEMORY#{step:06d}#{idempotency_key}"


def _checked(key: str) -> str:
    if not is_memory_key(key):
        raise UnsafeKey(f"{key[:40]!r} cannot be part of a key")
    return key
