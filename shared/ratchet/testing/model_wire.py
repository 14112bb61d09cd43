"""The chat completion request as it comes over the wire, checked as strictly as OpenAI does."""

import json
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ratchet.testing.model_catalogue import ModelCard
from ratchet.testing.model_errors import ApiError, bad_request
from ratchet.testing.model_json import JsonObject
from ratchet.testing.model_schema import refuse_loose_schema

_NAME = r"^[a-zA-Z0-9_-]{1,64}$"


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class FunctionCall(_Wire):
    """The function a model asked for, with its arguments as JSON text."""

    name: str
    arguments: str


class ToolCall(_Wire):
    """One tool call of an assistant message."""

    id: str = Field(max_length=40)
    type: Literal["function"] = "function"
    function: FunctionCall


class Message(_Wire):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[JsonObject] | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None

    def text(self) -> str:
        """The text of the message, whatever shape its content has."""
        if isinstance(self.content, list):
            return "".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


class FunctionSpec(_Wire):
    """A tool on offer."""

    name: str = Field(pattern=_NAME)
    description: str | None = None
    parameters: JsonObject = Field(default_factory=dict)
    strict: bool | None = None


class ToolSpec(_Wire):
    """The envelope of a tool on offer."""

    type: Literal["function"]
    function: FunctionSpec


class JsonSchemaSpec(_Wire):
    """The schema that the answer must follow."""

    name: str = Field(pattern=_NAME)
    schema_: JsonObject = Field(alias="schema", default_factory=dict)
    strict: bool | None = None


class ResponseFormat(_Wire):
    """How the answer must be written."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchemaSpec | None = None


class StreamOptions(_Wire):
    """What a stream carries beside the answer."""

    include_usage: bool = False


class ChatRequest(_Wire):
    """A chat completion request that the real API would accept."""

    model: str
    messages: tuple[Message, ...] = Field(min_length=1)
    tools: tuple[ToolSpec, ...] | None = Field(default=None, min_length=1, max_length=128)
    tool_choice: Literal["none", "auto", "required"] | JsonObject | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    prompt_cache_key: str | None = Field(default=None, max_length=64)
    user: str | None = None
    safety_identifier: str | None = None
    n: Literal[1] | None = None

    @classmethod
    def parse(cls, body: JsonObject) -> "ChatRequest":
        """The request, or the refusal that the real API gives.

        Raises:
            ApiError: 400 for a malformed request, 404 for an unknown model.
        """
        try:
            request = cls.model_validate(body)
        except ValidationError as exc:
            raise _malformed(exc) from exc
        given = frozenset(name for name, value in body.items() if value is not None)
        ModelCard.named(request.model).refuse_unsupported(given)
        refuse_broken_sequence(request.messages)
        request.refuse_impossible_options()
        return request

    @property
    def offered(self) -> dict[str, FunctionSpec]:
        """The tools on offer by name, in the order they were offered."""
        return {tool.function.name: tool.function for tool in self.tools or ()}

    @property
    def completion_limit(self) -> int | None:
        """The most tokens that the answer may take, reasoning included."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def output_schema(self) -> JsonSchemaSpec | None:
        """The schema that the answer must follow, if one was given."""
        return self.response_format.json_schema if self.response_format else None

    @property
    def wants_json(self) -> bool:
        """Whether the answer must be JSON."""
        return self.response_format is not None and self.response_format.type != "text"

    @property
    def forced_tool(self) -> str | None:
        """The tool that `tool_choice` insists on; the first one offered under `required`."""
        if isinstance(self.tool_choice, dict):
            return str(self.tool_choice.get("function", {}).get("name", ""))
        return next(iter(self.offered)) if self.tool_choice == "required" else None

    def refuse_impossible_options(self) -> None:
        """Refuse options that do not fit together.

        Raises:
            ApiError: 400.
        """
        for name in ("tool_choice", "parallel_tool_calls"):
            if getattr(self, name) is not None and not self.tools:
                raise bad_request(f"'{name}' is only allowed when 'tools' are specified.")
        if isinstance(self.tool_choice, dict) and self.forced_tool not in self.offered:
            message = f"Invalid value for 'tool_choice': no tool is called '{self.forced_tool}'."
            raise bad_request(message, param="tool_choice")
        if self.stream_options is not None and not self.stream:
            message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
            raise bad_request(message, param="stream_options")
        self._refuse_loose_schemas()
        self._refuse_json_without_the_word()

    def _refuse_loose_schemas(self) -> None:
        for number, function in enumerate(self.offered.values()):
            if function.strict:
                refuse_loose_schema(
                    function.parameters,
                    where=f"function '{function.name}'",
                    param=f"tools[{number}].function.parameters",
                    code="invalid_function_parameters",
                )
        output = self.output_schema
        if self.response_format is not None and self.response_format.type == "json_schema":
            if output is None:
                message = "Missing required parameter: 'response_format.json_schema'."
                raise bad_request(message, param="response_format.json_schema")
            if output.strict:
                refuse_loose_schema(
                    output.schema_,
                    where=f"response_format '{output.name}'",
                    param="response_format",
                )

    def _refuse_json_without_the_word(self) -> None:
        if self.response_format is None or self.response_format.type != "json_object":
            return
        if not any("json" in message.text().lower() for message in self.messages):
            raise bad_request(
                "'messages' must contain the word 'json' in some form, to use "
                "'response_format' of type 'json_object'.",
                param="messages",
            )


def refuse_broken_sequence(messages: Sequence[Message]) -> None:
    """Refuse tool calls without answers and answers without calls.

    Raises:
        ApiError: 400, naming the message.
    """
    waiting: list[str] = []
    group: frozenset[str] = frozenset()
    for number, message in enumerate(messages):
        where = f"messages.[{number}]"
        if message.role == "tool":
            if not group:
                raise bad_request(
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceeding message with 'tool_calls'.",
                    param=f"{where}.role",
                )
            if message.tool_call_id not in waiting:
                raise bad_request(
                    f"Invalid parameter: 'tool_call_id' of '{message.tool_call_id}' not found in "
                    "'tool_calls' of previous message.",
                    param=f"{where}.tool_call_id",
                )
            waiting.remove(message.tool_call_id)
        else:
            _refuse_unanswered(waiting, where)
            waiting = [call.id for call in message.tool_calls or ()]
            group = frozenset(waiting)
        if message.content is None and not message.tool_calls:
            text = "Invalid value for 'content': expected a string, got null."
            raise bad_request(text, param=f"{where}.content")
    _refuse_unanswered(waiting, f"messages.[{len(messages)}]")


def _refuse_unanswered(waiting: list[str], where: str) -> None:
    if waiting:
        raise bad_request(
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(waiting),
            param=f"{where}.role",
        )


def _malformed(exc: ValidationError) -> ApiError:
    first = exc.errors(include_url=False, include_context=False)[0]
    where = ".".join(f"[{part}]" if isinstance(part, int) else str(part) for part in first["loc"])
    if first["type"] == "missing":
        message = f"Missing required parameter: '{where}'."
        return bad_request(message, param=where, code="missing_required_parameter")
    shown = json.dumps(first["input"], default=str)[:80]
    message = f"Invalid value for '{where}': {first['msg']}, got {shown}."
    return bad_request(message, param=where, code="invalid_value")
