"""Tools: plain functions whose schema comes from their signature; model output meets them only after validation."""

import inspect
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema

from ratchet.contracts import limits
from ratchet.contracts.names import Effect, InterruptKind, Json
from ratchet.domain.finite_json import check_finite
from ratchet.domain.memory import RememberedByTask

F = TypeVar("F", bound=Callable[..., Any])
Approval = Literal["always", "never", "untrusted"] | Callable[..., bool]
"""When a call of a tool needs a person's approval."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What providers take: https://platform.openai.com/docs/api-reference/chat/create"""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know of its call; a parameter of this type is filled in and never offered to the model.

    `idempotency_key` is the same on every attempt of the same call, and differs between calls. `memory` is for the
    built-in tools of `Agent(memory=...)`.
    """

    tenant: str
    task_id: str
    user_id: str | None
    idempotency_key: str
    memory: RememberedByTask | None = None


class ToolArgumentsInvalid(ValueError):
    """The model's arguments do not fit the schema; the message is sent back to it."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call."""

    name: str
    description: str
    effect: Effect
    parallel: bool
    function: Callable[..., Any]
    arguments: type[BaseModel]
    context_parameter: str | None
    verify: Callable[..., str | None] | None = None
    approval: Approval = "never"
    untrusted: bool = False
    asks: InterruptKind = InterruptKind.APPROVAL  # what a person is asked in place of a call

    def needs_approval(self, arguments: dict[str, Any], *, is_tainted: bool) -> bool:
        """Whether a person has to approve a call with these arguments first; also when the predicate cannot tell.

        `is_tainted` says whether untrusted content has entered the task's history.
        """
        match self.approval:
            case "always":
                return True
            case "never":
                return False
            case "untrusted":
                return is_tainted
            case predicate:
                try:
                    return bool(predicate(**arguments))
                except Exception:  # noqa: BLE001 - a team's own code: whatever it raises, a person decides
                    return True

    def schema(self) -> dict[str, Any]:
        """The tool as chat completions take it (`tools[]`)."""
        parameters = self.arguments.model_json_schema(schema_generator=_PlainSchema)
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": parameters,
            },
        }

    def parse(self, arguments: str) -> dict[str, Any]:
        """Validate the model's JSON text strictly: unknown, missing and mistyped arguments are refused, and NaN.

        Raises:
            ToolArgumentsInvalid: says what is wrong, in words for the model.
        """
        try:
            parsed = self.arguments.model_validate_json(arguments or "{}", strict=True)
        except ValidationError as exc:
            problems = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}"
                for e in exc.errors(include_url=False, include_input=False)
            )
            raise ToolArgumentsInvalid(f"invalid arguments for {self.name}: {problems}") from exc
        try:
            check_finite(arguments or "{}")
        except ValueError as exc:
            raise ToolArgumentsInvalid(f"invalid arguments for {self.name}: {exc}") from exc
        return dict(vars(parsed))

    def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        """Run the function; its result as text for the model, cut at the documented length."""
        return _text(self.function(**self._filled(arguments, context)))

    def check(self, arguments: dict[str, Any], context: ToolContext) -> str | None:
        """Ask `verify` whether a call that gave no answer has happened: its result if so, None if surely not.

        Raises whatever `verify` raises, or TypeError for a plain True or False: it cannot tell.
        """
        if self.verify is None:
            raise TypeError(f"tool {self.name!r} has no verify")
        found: object = self.verify(**self._filled(arguments, context))
        if isinstance(found, bool):
            raise TypeError(f"tool {self.name!r}: verify gives the call's result, or None")
        return None if found is None else _text(found)

    def _filled(self, arguments: dict[str, Any], context: ToolContext) -> dict[str, Any]:
        if self.context_parameter is None:
            return arguments
        return {**arguments, self.context_parameter: context}


class _PlainSchema(GenerateJsonSchema):
    """JSON schema without the titles that pydantic derives from names: they cost tokens and say nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    *,
    effect: str = ...,
    name: str | None = ...,
    parallel: bool | None = ...,
    verify: Callable[..., str | None] | None = ...,
    approval: Approval = ...,
    untrusted: bool = ...,
) -> Callable[[F], F]: ...


def tool(  # noqa: PLR0913 - each keyword is something of its own that a tool's author says about it
    function: F | None = None,
    /,
    *,
    effect: str = "unsafe",
    name: str | None = None,
    parallel: bool | None = None,
    verify: Callable[..., str | None] | None = None,
    approval: Approval = "never",
    untrusted: bool = False,
) -> F | Callable[[F], F]:
    """Mark a function as a tool.

    `effect` says what a second call would do: `read` nothing, `idempotent` nothing given the same
    `ToolContext.idempotency_key`, `unsafe` (the default) harm. `parallel` (default: only for `read`) allows it to run
    beside other calls of the same step.

    `verify` is for unsafe tools: it takes the same arguments, and says what became of a call that gave no answer (the
    sandbox died, or the tool raised TimeoutError or ConnectionError). It returns the call's result if it happened, None
    if it surely has not and will not, and raises if it cannot tell: then a person is asked, as without `verify`. A
    plain True or False is no result, and tells nothing.

    `approval` says when a person has to approve a call before it is made: `never`, `always`, a function of the same
    arguments (but no `ToolContext`; it must say the same whenever it is asked, and where it raises, a person is asked),
    or `untrusted`: once untrusted content is in the task's history. That is so from the step on that follows the first
    call of a tool with `untrusted=True` (one that returns what strangers wrote: web pages, mails), whatever it gave,
    and for ever: a summary, a fork, a resume and the later tasks of its session keep it.

    Raises:
        TypeError: a parameter has no annotation, or cannot be given by name; or `verify` is given to a tool that is not
            unsafe; or `approval` is none of these; or one of the functions is `async`.
        ValueError: the name is not one that providers take.
    """

    def mark(f: F) -> F:
        kind = Effect(effect)
        refuse_async(f"tool {(name or f.__name__)!r}", f, verify, approval)
        beside = kind is Effect.READ if parallel is None else parallel
        described = _describe(f, name or f.__name__, effect=kind, parallel=beside)
        if verify is not None and kind is not Effect.UNSAFE:
            raise TypeError(f"tool {described.name!r}: verify is for effect='unsafe' only")
        if not callable(approval) and approval not in ("always", "never", "untrusted"):
            raise TypeError(
                f"tool {described.name!r}: approval is 'always', 'never', 'untrusted' or a function"
            )
        f.__ratchet_tool__ = replace(  # type: ignore[attr-defined]
            described, verify=verify, approval=approval, untrusted=untrusted
        )
        return f

    return mark(function) if function is not None else mark


def as_tool(function: Callable[..., Any]) -> Tool:
    """The tool that a decorated function stands for.

    Raises:
        TypeError: the function has no `@tool` decorator.
    """
    found = getattr(function, "__ratchet_tool__", None)
    if not isinstance(found, Tool):
        raise TypeError(f"{function!r} is not a tool: decorate it with @tool(effect=...)")
    return found


def refuse_async(what: str, *functions: object) -> None:
    """Nothing awaits a team's functions: an `async` one would do nothing, and its coroutine pass for its result.

    Raises:
        TypeError: one of them is `async`.
    """
    if any(inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in functions):
        raise TypeError(
            f"{what}: use a plain function, not `async`; asyncio.run may be called in it"
        )


def _describe(function: Callable[..., Any], name: str, *, effect: Effect, parallel: bool) -> Tool:
    if not _NAME.fullmatch(name):
        raise ValueError(f"tool {name!r}: use 1 to 64 letters (a-z, A-Z), digits, _ and -")
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    context = None
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"tool {name!r}: *args and **kwargs have no schema")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise TypeError(f"tool {name!r}: parameter {parameter.name!r} cannot be given by name")
        if parameter.name not in hints:
            raise TypeError(f"tool {name!r}: parameter {parameter.name!r} needs a type")
        if hints[parameter.name] is ToolContext:
            context = parameter.name
            continue
        if ToolContext in get_args(hints[parameter.name]):
            raise TypeError(
                f"tool {name!r}: the type of {parameter.name!r} must be ToolContext alone"
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    return Tool(
        name=name,
        description=inspect.cleandoc(function.__doc__ or ""),
        effect=effect,
        parallel=parallel,
        function=function,
        arguments=_arguments(name, fields),
        context_parameter=context,
    )


def _arguments(name: str, fields: dict[str, Any]) -> type[BaseModel]:
    try:
        model = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    except PydanticUserError as exc:
        raise TypeError(
            f"tool {name!r}: a parameter's type has no JSON schema: {str(exc).splitlines()[0]}"
        ) from exc
    lost = sorted(set(fields) - set(model.model_fields))
    if lost:  # pydantic takes _x and model_config for something else
        raise TypeError(f"tool {name!r}: a parameter cannot be named {', '.join(lost)}")
    return model


def _text(result: object) -> str:
    text = result if isinstance(result, str) else _dump(result)
    if len(text) <= limits.MAX_TOOL_RESULT_CHARS:
        return text
    return f"{text[: limits.MAX_TOOL_RESULT_CHARS]}\n[cut: {len(text)} characters in all]"


def _dump(value: object) -> str:
    # The tool has run by now: whatever it returned must become text, or its effect would look like a failure.
    for dump in (_json, repr):
        try:
            return dump(value)
        except Exception:  # noqa: BLE001 - bytes that are no text, a cycle, a repr that raises
            continue
    return f"<{type(value).__name__}>"


def _json(value: object) -> str:
    plain: Json = TypeAdapter(Any).dump_python(value, mode="json", fallback=repr)
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
