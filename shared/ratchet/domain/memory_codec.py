"""How a fact is written: packed like a step, small enough to lie in its item always."""

from ratchet.domain.codec import pack, unpack
from ratchet.domain.memory import Fact, Source


def encode_fact(fact: Fact) -> bytes:
    """The stored body; the key, the write's id and when it expires live in the item's own attributes."""
    source = fact.source
    return pack(
        {
            "value": fact.value,
            "version": fact.version,
            "at": [fact.created_at_ms, fact.updated_at_ms],
            "by": [source.task_id, source.agent, source.principal, source.is_untrusted],
        }
    )


def decode_fact(body: bytes, *, key: str, write_id: str, expires_at: int | None) -> Fact:
    """A fact from its stored body.

    Raises:
        DataMissing: it is damaged, or was written by a newer release.
    """
    data = unpack(body)
    created_at_ms, updated_at_ms = data["at"]
    task_id, agent, principal, is_untrusted = data["by"]
    return Fact(
        key=key,
        value=data["value"],
        version=data["version"],
        created_at_ms=created_at_ms,
        updated_at_ms=updated_at_ms,
        source=Source(task_id, agent, principal, is_untrusted),
        write_id=write_id,
        expires_at=expires_at,
    )
