"""From a scripted turn, through the options of the request, to the final form of the answer."""

import json
from dataclasses import dataclass, replace
from typing import Any

from ratchet.testing.model_catalogue import ModelCard
from ratchet.testing.model_conversation import Conversation
from ratchet.testing.model_faults import FaultKind
from ratchet.testing.model_json import JsonObject, canonical, digest
from ratchet.testing.model_scenarios import ScriptedCall, Turn
from ratchet.testing.model_schema import minimal_instance
from ratchet.testing.model_template import Template
from ratchet.testing.model_usage import BYTES_PER_TOKEN, reasoning_tokens, token_count
from ratchet.testing.model_wire import ChatRequest

_NO_MORE_TOOLS = "I have what I need."
_REFUSAL = "I'm sorry, but I can't help with that. (scripted refusal)"


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A tool call as the answer carries it."""

    id: str
    name: str
    arguments: str

    def to_wire(self) -> JsonObject:
        """The call as an element of `tool_calls`."""
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says."""

    content: str | None = None
    calls: tuple[AnsweredCall, ...] = ()
    refusal: str | None = None
    finish_reason: str = "stop"
    reasoning_tokens: int = 0

    @property
    def visible_tokens(self) -> int:
        """How many tokens of the answer anyone gets to see."""
        text = f"{self.content or ''}{self.refusal or ''}"
        return token_count(text) + sum(token_count(canonical(c.to_wire())) for c in self.calls)

    @property
    def completion_tokens(self) -> int:
        """How many tokens are billed for the answer."""
        return self.visible_tokens + self.reasoning_tokens


class Script:
    """Turns a scripted turn into the answer to one request."""

    def __init__(
        self, request: ChatRequest, conversation: Conversation, groups: dict[str, str]
    ) -> None:
        self._request = request
        self._conversation = conversation
        self._template = Template.of(conversation, groups)

    def answer(self, turn: Turn, spoilt_by: FaultKind | None = None) -> Answer:
        """The answer as the request's options allow it, spoilt where a fault says so."""
        calls = self._calls(turn)
        refusal = self._template.text(turn.refusal) if turn.refusal is not None else None
        answer = Answer(
            content=None if refusal is not None else self._words(turn, calls=bool(calls)),
            calls=calls,
            refusal=refusal,
            finish_reason=turn.finish_reason or ("tool_calls" if calls else "stop"),
        )
        if spoilt_by is not None:
            answer = self._spoil(answer, spoilt_by)
        return self._within_limit(answer)

    def _calls(self, turn: Turn) -> tuple[AnsweredCall, ...]:
        request = self._request
        if not request.tools or request.tool_choice == "none":
            return ()
        scripted = list(turn.tool_calls)
        forced = request.forced_tool
        if forced is not None and not scripted:
            scripted = [ScriptedCall(name=forced)]
        if request.parallel_tool_calls is False:
            scripted = scripted[:1]
        named = ((self._name(call), call) for call in scripted)
        return tuple(
            self._call(number, name, self._arguments(name, call))
            for number, (name, call) in enumerate(named)
            if name is not None
        )

    def _name(self, call: ScriptedCall) -> str | None:
        if call.name_like is None:
            return call.name
        return next(filter(call.name_like.search, self._request.offered), None)

    def _arguments(self, name: str, call: ScriptedCall) -> Any:
        if call.arguments is not None:
            return self._template.fill(call.arguments)
        function = self._request.offered.get(name)
        return minimal_instance(function.parameters, self._conversation.goal) if function else {}

    def _call(self, number: int, name: str, arguments: Any) -> AnsweredCall:
        here = self._conversation
        place = digest(here.key, here.turn, here.repairs, number)
        return AnsweredCall(f"call_{place}", name, json.dumps(arguments, ensure_ascii=False))

    def _words(self, turn: Turn, *, calls: bool) -> str | None:
        """What is said; beside tool calls only what the scenario says in so many words."""
        return None if calls and turn.content is None else self._content(turn)

    def _content(self, turn: Turn) -> str:
        text = None if turn.content is None else self._template.text(turn.content)
        if turn.json_ is not None and (self._request.wants_json or text is None):
            return json.dumps(self._fitted(self._template.fill(turn.json_)), ensure_ascii=False)
        text = _NO_MORE_TOOLS if text is None else text
        if not self._request.wants_json:
            return text
        output = self._request.output_schema
        instance = minimal_instance(output.schema_, text) if output else {"text": text}
        return json.dumps(instance, ensure_ascii=False)

    def _fitted(self, value: JsonObject) -> JsonObject:
        """The value with the keys of a strict schema: none missing, none besides."""
        output = self._request.output_schema
        if output is None or not output.strict:
            return value
        smallest = minimal_instance(output.schema_, self._conversation.goal)
        known = output.schema_.get("properties", {})
        return {**smallest, **{key: item for key, item in value.items() if key in known}}

    def _spoil(self, answer: Answer, fault: FaultKind) -> Answer:
        if fault in {FaultKind.MALFORMED_ARGUMENTS, FaultKind.UNKNOWN_TOOL}:
            calls = self._some_calls(answer)
            if fault is FaultKind.UNKNOWN_TOOL:
                return _calling(answer, tuple(replace(c, name="no_such_tool") for c in calls))
            return _calling(answer, tuple(replace(c, arguments=c.arguments[:-1]) for c in calls))
        if fault is FaultKind.TRUNCATED:
            return _cut(answer, answer.visible_tokens // 2)
        return _REPLACEMENTS.get(fault, answer)

    def _some_calls(self, answer: Answer) -> tuple[AnsweredCall, ...]:
        """The calls to break; one is made up where the script has none and a tool is on offer."""
        if answer.calls or not self._request.tools or self._request.tool_choice == "none":
            return answer.calls
        name = next(iter(self._request.offered))
        return (self._call(0, name, self._arguments(name, ScriptedCall(name=name))),)

    def _within_limit(self, answer: Answer) -> Answer:
        limit = self._request.completion_limit
        thought = 0
        if ModelCard.named(self._request.model).reasoning:
            thought = reasoning_tokens(answer.visible_tokens)
        if limit is not None and thought + answer.visible_tokens > limit:
            thought = min(thought, limit)
            answer = _cut(answer, limit - thought)
        return replace(answer, reasoning_tokens=thought)


_REPLACEMENTS = {
    FaultKind.EMPTY: Answer(content=""),
    FaultKind.REFUSAL: Answer(refusal=_REFUSAL),
    FaultKind.CONTENT_FILTER: Answer(content="", finish_reason="content_filter"),
}


def _calling(answer: Answer, calls: tuple[AnsweredCall, ...]) -> Answer:
    return Answer(calls=calls, finish_reason="tool_calls") if calls else answer


def _cut(answer: Answer, tokens: int) -> Answer:
    """The answer up to the limit; of the last tool call, half the arguments."""
    room = max(tokens, 0) * BYTES_PER_TOKEN
    if answer.calls:
        last = answer.calls[-1]
        halved = replace(last, arguments=last.arguments[: len(last.arguments) // 2])
        return Answer(calls=(*answer.calls[:-1], halved), finish_reason="length")
    text = (answer.content or answer.refusal or "").encode()[:room].decode(errors="ignore")
    return Answer(content=text, finish_reason="length")
