"""The spans of one invocation of step_executor: its attempt at a step, the model calls and tool calls in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ratchet.contracts.errors import RatchetError
from ratchet.contracts.messages import StepInput
from ratchet.domain import spans as otel
from ratchet.domain.spans import Kind, Place, Span, Value
from ratchet.domain.steps import StepRecord
from ratchet.domain.task import Task
from ratchet.domain.tools import Tool
from ratchet.model_ports import ChatModel, ModelAnswer, ModelCall
from ratchet.ports import Clock

FINISH_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Open:
    """A span that has not ended."""

    place: Place
    name: str
    kind: Kind
    started_at_ms: int
    attributes: dict[str, Value]


class StepTrace:
    """Collects the spans of one attempt; tools may run beside each other."""

    def __init__(self, event: StepInput, clock: Clock) -> None:
        self._event = event
        self._clock = clock
        self._place = otel.attempt_place(event)
        self._started_at_ms = clock.now_ms()
        self._spans: list[Span] = []
        self._calls = 0
        self._known: dict[str, Value] = {}

    def ask(self, chat: ChatModel, call: ModelCall) -> ModelAnswer:
        """Make a model call, and a span of it."""
        self._calls += 1
        span = _Open(
            self._place.below("chat", self._calls),
            f"{otel.CHAT} {call.model}",
            Kind.CLIENT,
            self._clock.now_ms(),
            {
                otel.OPERATION: otel.CHAT,
                otel.PROVIDER: otel.OPENAI,
                otel.REQUEST_MODEL: call.model,
                otel.REQUEST_MAX_TOKENS: call.max_output_tokens,
            },
        )
        try:
            answer = chat.complete(call)
        except Exception as exc:
            self._end(span, _error(exc))
            raise
        span.attributes.update(_told(answer))
        self._end(span)
        return answer

    def run_tool(
        self, key: str, tool: Tool, call: Callable[[], T], *, is_ok: Callable[[T], bool]
    ) -> T:
        """Call a tool, and make a span of it. Its call id is the idempotency key, which the tool was given too."""
        span = _Open(
            self._place.below("tool", key),
            f"{otel.EXECUTE_TOOL} {tool.name}",
            Kind.INTERNAL,
            self._clock.now_ms(),
            {
                otel.OPERATION: otel.EXECUTE_TOOL,
                otel.TOOL_NAME: tool.name,
                otel.TOOL_TYPE: "function",
                otel.TOOL_CALL_ID: key,
                "ratchet.effect": tool.effect.value,
            },
        )
        try:
            result = call()
        except Exception as exc:
            self._end(span, _error(exc))
            raise
        self._end(span, "" if is_ok(result) else "tool_error")
        return result

    def committed(self, record: StepRecord, task: Task) -> None:
        """What the committed step says of itself."""
        result = record.result
        self._known |= {
            **otel.about_task(task),
            "ratchet.route": result.route,
            "ratchet.cost_usd": result.charged.microusd / 1_000_000,
            "ratchet.next": type(record.next).__name__.lower(),
        }

    def ended(self, outcome: str, error: str = "") -> list[Span]:
        """All spans, that of the attempt last."""
        event = self._event
        known: dict[str, Value] = {
            **otel.about_ref(event.task),
            "ratchet.step.number": event.step.number,
            "ratchet.step.type": event.step.type.value,
            "ratchet.step.complexity": event.step.complexity.value,
            "ratchet.attempt": event.attempt,
            "ratchet.generation": event.execution.generation,
            "ratchet.outcome": outcome,
            **self._known,
        }
        name = f"step {event.step.number}"
        self._end(_Open(self._place, name, Kind.INTERNAL, self._started_at_ms, known), error)
        return self._spans

    def _end(self, span: _Open, error: str = "") -> None:
        told = span.attributes | ({otel.ERROR_TYPE: error} if error else {})
        self._spans.append(
            Span(
                span.place,
                span.name,
                span.kind,
                span.started_at_ms,
                self._clock.now_ms(),
                told,
                error,
            )
        )


def _error(exc: Exception) -> str:
    """The error's stable code if it is one of ours, else its class: never its text, which may hold anything."""
    return exc.code if isinstance(exc, RatchetError) else type(exc).__name__


def _told(answer: ModelAnswer) -> dict[str, Value]:
    """What an answer adds to its span; a reason that is not OpenAI's could say anything."""
    reason = answer.finish_reason if answer.finish_reason in FINISH_REASONS else "other"
    return {
        otel.FINISH_REASONS: (reason,),
        otel.INPUT_TOKENS: answer.usage.input_tokens,
        otel.CACHED_TOKENS: answer.usage.cached_tokens,
        otel.OUTPUT_TOKENS: answer.usage.output_tokens,
        **({"ratchet.deployment": answer.deployment} if answer.deployment else {}),
    }
