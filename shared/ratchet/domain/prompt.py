"""The canonical prompt: the same history gives the same bytes, and each step's prompt begins with the one before.

Order: fixed instructions, tools in the agent's order, what the session had said when the task started, the goal, then
what the steps added. Nothing volatile (clock,
ids, counters) is ever put in, because one changed byte throws away the provider's cached prefix:
https://platform.openai.com/docs/guides/prompt-caching
"""

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

    Strict mode wants every property required and no additional ones, and knows no defaults:
    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    if schema.get("additionalProperties") not in (None, False):
        return None
    changed = dict(schema)
    changed.pop("default", None)
    if "properties" in schema:
        properties = {name: strict_schema(sub) for name, sub in schema["properties"].items()}
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
        changed["items"] = strict_schema(schema["items"])
        if changed["items"] is None:
            return None
    return _strict_branches(changed)


def _strict_branches(schema: dict[str, Any]) -> dict[str, Any] | None:
    for key in ("anyOf", "$defs"):
        branches = schema.get(key)
        if isinstance(branches, list):
            schema[key] = [strict_schema(b) for b in branches]
            if None in schema[key]:
                return None
        elif isinstance(branches, dict):
            schema[key] = {name: strict_schema(b) for name, b in branches.items()}
            if None in schema[key].values():
                return None
    return schema
