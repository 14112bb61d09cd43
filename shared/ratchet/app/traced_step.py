"""Tell a tracing backend what each step did."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ratchet.app.execute_step import ExecuteStep
from ratchet.app.send_spans import send_spans
from ratchet.app.step_trace import StepTrace
from ratchet.contracts.messages import StepInput, StepOutput
from ratchet.domain.steps import StepRecord
from ratchet.domain.task import Task
from ratchet.model_ports import ChatModel, ModelAnswer, ModelCall
from ratchet.ports import Metrics
from ratchet.tracing_ports import SpanSink

MIN_SEND_SECONDS = 5.0
"""With less of the invocation left, its spans are let go: the answer to the state machine matters more."""


@dataclass(frozen=True, slots=True)
class _TracedChat:
    chat: ChatModel
    trace: StepTrace

    def complete(self, call: ModelCall) -> ModelAnswer:
        return self.trace.ask(self.chat, call)


@dataclass(frozen=True, slots=True)
class _TracedMetrics:
    metrics: Metrics
    trace: StepTrace

    def step_finished(self, record: StepRecord, *, task: Task) -> None:
        self.metrics.step_finished(record, task=task)
        self.trace.committed(record, task)


@dataclass(frozen=True, slots=True)
class TracedStep:
    """`ExecuteStep` that tells a backend what it did, after the fact: nothing of the step depends on that."""

    step: ExecuteStep
    sink: SpanSink

    def __call__(self, event: StepInput, *, remaining_seconds: Callable[[], float]) -> StepOutput:
        """As ExecuteStep; the spans leave before the sandbox is frozen."""
        inner, trace = self.step, StepTrace(event, self.step.clock)
        traced = replace(
            inner,
            chat=_TracedChat(inner.chat, trace),
            metrics=_TracedMetrics(inner.metrics, trace),
            trace=trace,
        )
        outcome, error = "raised", "_OTHER"
        try:
            output = traced(event, remaining_seconds=remaining_seconds)
            outcome, error = output.action.value, ""
        except Exception as exc:
            error = type(exc).__name__
            raise
        finally:
            if remaining_seconds() >= MIN_SEND_SECONDS:
                send_spans(self.sink, *trace.ended(outcome, error))
        return output
