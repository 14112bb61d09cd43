"""Run the tool calls of one step. Results are keyed by call id; an unsafe call happens at most once."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ratchet.contracts.errors import EffectOutcomeUnknown, RatchetError
from ratchet.contracts.names import Effect
from ratchet.domain.keys import tool_call_key
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.steps import ToolRun
from ratchet.domain.task import Task
from ratchet.domain.tools import Tool, ToolContext
from ratchet.observability import logger
from ratchet.ports import CheckpointStore, Clock, Intent

MAX_PARALLEL_CALLS = 8


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call of the model whose tool exists and whose arguments fit its schema."""

    call: ToolCall
    tool: Tool
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolRunner:
    """Runs the calls of one step of one task."""

    store: CheckpointStore
    clock: Clock
    task: Task
    step: int
    attempt_id: str

    def run(self, calls: Sequence[PlannedCall]) -> tuple[tuple[Message, ...], tuple[ToolRun, ...]]:
        """The tool messages and how each call went, in the order of `calls`.

        Raises:
            EffectOutcomeUnknown: an earlier attempt began an unsafe call and its result was never recorded.
            StoreUnavailable: an intent could not be recorded; the call was not made.
        """
        beside = [i for i, planned in enumerate(calls) if planned.tool.parallel]
        results: dict[int, tuple[Message, ToolRun]] = {}
        if len(beside) > 1:
            with ThreadPoolExecutor(min(len(beside), MAX_PARALLEL_CALLS)) as pool:
                done = pool.map(lambda i: self._run_one(i, calls[i]), beside)
                results.update(zip(beside, done, strict=True))
        for index, planned in enumerate(calls):
            if index not in results:
                results[index] = self._run_one(index, planned)
        ordered = [results[i] for i in range(len(calls))]
        return tuple(m for m, _ in ordered), tuple(r for _, r in ordered)

    def _run_one(self, index: int, planned: PlannedCall) -> tuple[Message, ToolRun]:
        started = self.clock.monotonic()
        key = tool_call_key(self.task.ref, self.step, index, planned.tool.name)
        if planned.tool.effect is Effect.UNSAFE:
            text, ok = self._once(key, planned)
        else:
            text, ok = self._call(key, planned)
        elapsed = round((self.clock.monotonic() - started) * 1000)
        message = Message("tool", text, tool_call_id=planned.call.id)
        return message, ToolRun(planned.call.id, planned.tool.name, ok, elapsed)

    def _once(self, key: str, planned: PlannedCall) -> tuple[str, bool]:
        ref = self.task.ref
        digest = hashlib.sha256(planned.call.arguments.encode()).hexdigest()[:16]
        mine = f"{self.attempt_id}/{digest}"
        intent = self.store.begin_effect(ref, step=self.step, key=key, attempt_id=mine)
        if intent.attempt_id != mine:
            if intent.result is not None and intent.attempt_id.endswith(f"/{digest}"):
                return intent.result, intent.ok
            raise EffectOutcomeUnknown(
                f"the tool {planned.tool.name!r} was called in step {self.step} and the run that called it "
                f"died; check in the system it acts on whether it happened (idempotency key {key})"
            )
        text, ok = self._call(key, planned)
        self.store.end_effect(ref, step=self.step, key=key, intent=Intent(mine, text, ok))
        return text, ok

    def _call(self, key: str, planned: PlannedCall) -> tuple[str, bool]:
        context = ToolContext(
            self.task.ref.tenant, self.task.ref.task_id, self.task.user_id, idempotency_key=key
        )
        return call_tool(lambda: planned.tool.call(planned.arguments, context), planned.tool.name)


def call_tool(call: Callable[[], str], name: str) -> tuple[str, bool]:
    """The tool's text and True, or what went wrong, in words for the model, and False."""
    try:
        return call(), True
    except RatchetError:
        raise
    except Exception as exc:  # noqa: BLE001 - a tool is a team's own code: any error of it is a result
        logger.warning("tool failed", extra={"tool": name, "error": type(exc).__name__})
        return f"error: {type(exc).__name__}: {exc}"[:2000], False
