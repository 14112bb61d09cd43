"""Chat messages in OpenAI's terms, as immutable values."""

from dataclasses import dataclass
from typing import Any, Literal, Self

BYTES_PER_TOKEN = 3
"""Conservative: English runs near 4 bytes a token, code nearer 3, and a CJK character is 3 bytes and about a token."""

Role = Literal["system", "user", "assistant", "tool"]


def valid_text(text: str) -> str:
    """The text without lone surrogates: JSON can carry them, UTF-8 (our checkpoints, the next request) cannot."""
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that a model asked for; `arguments` is its untrusted JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    content: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    def to_chat(self) -> dict[str, Any]:
        """The message as chat completions take it, keys in a fixed order."""
        data: dict[str, Any] = {"role": self.role}
        if self.tool_call_id is not None:
            data["tool_call_id"] = self.tool_call_id
        if self.content is not None or not self.tool_calls:
            data["content"] = self.content or ""
        if self.tool_calls:
            data["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in self.tool_calls
            ]
        return data

    @classmethod
    def from_chat(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_chat`."""
        return cls(
            role=data["role"],
            content=data.get("content"),
            tool_calls=tuple(
                ToolCall(c["id"], c["function"]["name"], c["function"]["arguments"])
                for c in data.get("tool_calls", ())
            ),
            tool_call_id=data.get("tool_call_id"),
        )


def message_bytes(message: Message) -> int:
    """What a message adds to the prompt, its frame included."""
    size = 16 + _utf8_bytes(message.content or "")
    for call in message.tool_calls:
        size += 16 + _utf8_bytes(call.name) + _utf8_bytes(call.arguments)
    return size


def _utf8_bytes(text: str) -> int:
    # Every step measures its whole history: `isascii` is a flag of the string, `encode` copies it.
    return len(text) if text.isascii() else len(text.encode(errors="replace"))
