"""How a session is written: packed like a step, small enough to lie in its item always."""

from itertools import repeat
from typing import Any

from ratchet.contracts.names import OnConflict
from ratchet.domain.codec import pack, unpack
from ratchet.domain.messages import Message
from ratchet.domain.session import Session, Turn, Waiter


def encode_session(session: Session) -> bytes:
    """The stored body; who it belongs to and its version live in the item's own attributes."""
    data: dict[str, Any] = {
        "last": session.last_number,
        "holder": session.holder,
        "ending": session.ending,
        "line": [[waiter.task_id, waiter.is_urgent] for waiter in session.line],
        "turns": [[turn.task_id, [m.to_chat() for m in turn.messages]] for turn in session.turns],
        "at": session.updated_at_ms,
    }
    # Beside the turns, since releases before this one take those apart by two.
    if any(turn.ended_at_ms for turn in session.turns):
        data["ended"] = [turn.ended_at_ms for turn in session.turns]
    if untrusted := [turn.task_id for turn in session.turns if turn.untrusted]:
        data["untrusted"] = untrusted
    return pack(data)


def decode_session(body: bytes, *, tenant: str, session_id: str, version: int) -> Session:
    """A session from its stored body.

    Raises:
        DataMissing: it is damaged, or was written by a newer release.
    """
    data = unpack(body)
    untrusted, ended = data.get("untrusted", ()), data.get("ended") or repeat(0)
    return Session(
        tenant=tenant,
        session_id=session_id,
        version=version,
        last_number=data["last"],
        holder=data["holder"],
        ending=None if data["ending"] is None else OnConflict(data["ending"]),
        line=tuple(Waiter(task_id, is_urgent) for task_id, is_urgent in data["line"]),
        turns=tuple(
            Turn(id_, tuple(map(Message.from_chat, said)), id_ in untrusted, ended_at_ms)
            for (id_, said), ended_at_ms in zip(data["turns"], ended, strict=False)
        ),
        updated_at_ms=data["at"],
    )
