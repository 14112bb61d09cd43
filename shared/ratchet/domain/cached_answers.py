"""A model's answer as the response cache keeps it: its words and tool calls, without what it once cost."""

from dataclasses import dataclass
from typing import Any

from ratchet.contracts.errors import DataMissing
from ratchet.domain.messages import Message


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer that was usable, and from when until when it may be used again."""

    message: Message
    finish_reason: str
    stored_at_ms: int
    expires_at: int  # epoch seconds, as DynamoDB's TTL takes it

    def is_fresh(self, *, now_ms: int) -> bool:
        """Whether it may still be used; TTL deletes hours or days later."""
        return now_ms < self.expires_at * 1000

    def to_json(self) -> dict[str, Any]:
        """The answer as a body; its times live in the item's own attributes."""
        return {"messages": [self.message.to_chat()], "finish_reason": self.finish_reason}

    @classmethod
    def from_json(
        cls, data: dict[str, Any], *, stored_at_ms: int, expires_at: int
    ) -> "CachedAnswer":
        """The inverse of `to_json`.

        Raises:
            DataMissing: the body is no answer.
        """
        try:
            message = Message.from_chat(data["messages"][0])
            return cls(message, data["finish_reason"], stored_at_ms, expires_at)
        except (KeyError, IndexError, TypeError) as exc:
            raise DataMissing(f"a cached answer is damaged: {exc!r}") from exc
