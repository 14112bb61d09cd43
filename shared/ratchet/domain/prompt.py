"""The canonical prompt: the same history gives the same bytes, and each step's prompt begins with the one before.

Order: fixed instructions, tools in the agent's order, what the session had said when the task started, the goal, then
what the steps added. Nothing volatile (clock,
ids, counters) is ever put in, because one changed byte throws away the provider's cached prefix:
https://platform.openai.com/docs/guides/prompt-caching
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

from ratchet.contracts.names import StepType
from ratchet.domain.agent import Agent
from ratchet.domain.messages import BYTES_PER_TOKEN, Message, message_bytes
from ratchet.domain.task import History

_CACHE_KEY_NAME_CHARS = 40  # with the version below the 64 characters that OpenAI takes

PLAN_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "plan": {"type": "array", "items": {"type": "string"}},
        "complexity": {"type": "string", "enum": ["simple", "complex"]},
    },
    "required": ["plan", "complexity"],
    "additionalProperties": False,
}


# What strict mode knows; of the rest, what may be left out since it allows or forbids nothing.
_STRICT_KEYWORDS = frozenset(
    {
        *("type", "title", "description", "enum", "const", "anyOf", "$defs", "pattern", "format"),
        *("properties", "required", "additionalProperties", "items", "minItems", "maxItems"),
        *("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    }
)
_IGNORED = frozenset({"default", "discriminator"})
_STRICT_FORMATS = frozenset(
    {
        *(None, "date-time", "time", "date", "duration"),
        *("email", "hostname", "ipv4", "ipv6", "uuid"),
    }
)
_LOOKAROUND = re.compile(r"\(\?<?[=!]")


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """A JSON schema that the answer must fit; `strict` when the provider can enforce it."""

    name: str
    schema: dict[str, Any]
    strict: bool


@dataclass(frozen=True, slots=True)
class Prompt:
    """Everything of a model call that depends on the history and not on the model."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...]
    tool_choice: Literal["auto", "none"]
    response_format: ResponseFormat | None
    cache_key: str

    def with_messages(self, added: tuple[Message, ...]) -> "Prompt":
        """The same prompt with more messages at its end."""
        return Prompt(
            self.messages + added,
            self.tools,
            self.tool_choice,
            self.response_format,
            self.cache_key,
        )

    def estimated_tokens(self) -> int:
        """An upper estimate of the input tokens."""
        size = sum(map(message_bytes, self.messages)) + sum(map(tool_bytes, self.tools))
        if self.response_format is not None:
            size += len(str(self.response_format.schema))
        return size // BYTES_PER_TOKEN + 64


def tool_bytes(schema: dict[str, Any]) -> int:
    """What a tool adds to the prompt."""
    return len(str(schema))


def build_prompt(agent: Agent, history: History, type_: StepType, directive: str | None) -> Prompt:
    """The prompt of the next step of `history`."""
    task = history.task
    said_before = task.earlier or ()
    head = [Message("system", agent.instructions), *said_before, Message("user", task.goal)]
    tail = [Message("user", directive)] if directive else []
    return Prompt(
        messages=tuple(head + history.messages + tail),
        tools=agent.tool_schemas,
        tool_choice="auto" if type_ is StepType.TOOL_DISPATCH else "none",
        response_format=_response_format(agent, type_),
        cache_key=f"{agent.name[:_CACHE_KEY_NAME_CHARS]}:{agent.version}",
    )


def schema_name(agent: Agent, type_: StepType) -> str | None:
    """Which schema a step's answer must fit, if any: prompts with different ones share no prefix."""
    wanted = _response_format(agent, type_)
    return None if wanted is None else wanted.name


def _response_format(agent: Agent, type_: StepType) -> ResponseFormat | None:
    if type_ is StepType.PLANNING:
        return ResponseFormat("plan", PLAN_SCHEMA, strict=True)
    schema = agent.output_schema()
    if type_ is StepType.FINAL_SYNTHESIS and schema is not None:
        strict = strict_schema(schema)
        return ResponseFormat("output", strict or schema, strict=strict is not None)
    return None


def strict_schema(schema: dict[str, Any]) -> dict[str, Any] | None:
    """The schema in the form that strict structured outputs ask for, or None when it cannot be put so.

    Strict mode wants an object with every property required and no additional ones, knows no defaults, and refuses the
    whole request for one keyword or format that it does not know:
    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    return _strict(schema) if schema.get("type") == "object" else None


def _strict(schema: dict[str, Any]) -> dict[str, Any] | None:
    changed = {name: value for name, value in schema.items() if name not in _IGNORED}
    if "oneOf" in changed:  # pydantic's discriminated unions: no answer fits two of them
        changed["anyOf"] = changed.pop("oneOf")
    if not _is_known(changed):
        return None
    if "properties" in schema:
        properties = {name: _strict(sub) for name, sub in schema["properties"].items()}
        if any(sub is None for sub in properties.values()):
            return None
        changed |= {
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
    elif schema.get("type") == "object":
        return None
    if isinstance(schema.get("items"), dict):
        changed["items"] = _strict(schema["items"])
        if changed["items"] is None:
            return None
    return _strict_branches(changed)


def _is_known(schema: dict[str, Any]) -> bool:
    """Whether strict mode takes these keywords, each with its value."""
    if "$ref" in schema:
        return len(schema) == 1
    return (
        schema.keys() <= _STRICT_KEYWORDS
        and ("type" in schema or "anyOf" in schema)
        and schema.get("additionalProperties") in (None, False)
        and schema.get("format") in _STRICT_FORMATS
        and not _LOOKAROUND.search(schema.get("pattern", ""))
    )


def _strict_branches(schema: dict[str, Any]) -> dict[str, Any] | None:
    for key in ("anyOf", "$defs"):
        branches = schema.get(key)
        if isinstance(branches, list):
            schema[key] = [_strict(b) for b in branches]
            if None in schema[key]:
                return None
        elif isinstance(branches, dict):
            schema[key] = {name: _strict(b) for name, b in branches.items()}
            if None in schema[key].values():
                return None
    return schema
