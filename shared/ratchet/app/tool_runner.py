"""Run the tool calls of one step. Results are keyed by call id; an unsafe call happens at most once."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ratchet.contracts.errors import EffectOutcomeUnknown, RatchetError
from ratchet.contracts.names import Effect
from ratchet.domain.keys import tool_call_key
from ratchet.domain.messages import Message, ToolCall, valid_text
from ratchet.domain.steps import ToolRun
from ratchet.domain.task import Task
from ratchet.domain.tools import Tool, ToolContext
from ratchet.observability import logger
from ratchet.ports import CheckpointStore, Clock, Intent

MAX_PARALLEL_CALLS = 8
UNKNOWN_OUTCOMES = (TimeoutError, ConnectionError)
"""What leaves it open whether an unsafe call happened: a tool raises one of these, or a subclass, to say so."""
_UNKNOWN = "error: whether this call happened is not known"


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call of the model whose tool exists and whose arguments fit its schema."""

    call: ToolCall
    tool: Tool
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolResults:
    """The tool messages and how each call went, in the order of the calls; `unknown` when one may have happened."""

    messages: tuple[Message, ...]
    runs: tuple[ToolRun, ...]
    unknown: EffectOutcomeUnknown | None = None


@dataclass(frozen=True, slots=True)
class _Result:
    """How one call went."""

    text: str
    ok: bool
    unknown: EffectOutcomeUnknown | None = None


_NOT_RUN = _Result("error: not called, because the outcome of an earlier call is not known", False)


@dataclass(frozen=True, slots=True)
class ToolRunner:
    """Runs the calls of one step of one task."""

    store: CheckpointStore
    clock: Clock
    task: Task
    step: int
    attempt_id: str

    def run(self, calls: Sequence[PlannedCall]) -> ToolResults:
        """Run the calls. When one may have happened in an attempt that died, no unsafe call after it is made.

        Raises:
            StoreUnavailable: an intent could not be recorded; the call was not made.
        """
        beside = [i for i, planned in enumerate(calls) if planned.tool.parallel]
        results: dict[int, tuple[ToolRun, _Result]] = {}
        named = self._keys(calls)
        if len(beside) > 1:
            with ThreadPoolExecutor(min(len(beside), MAX_PARALLEL_CALLS)) as pool:
                done = pool.map(lambda i: self._run_one(named[i], calls[i]), beside)
                results.update(zip(beside, done, strict=True))
        unknown = [result.unknown for _, result in results.values() if result.unknown]
        for index, planned in enumerate(calls):
            if index in results:
                continue
            if unknown and planned.tool.effect is Effect.UNSAFE:
                results[index] = ToolRun(planned.call.id, planned.tool.name, False, 0), _NOT_RUN
                continue
            results[index] = self._run_one(named[index], planned)
            unknown += filter(None, [results[index][1].unknown])
        ordered = [results[i] for i in range(len(calls))]
        messages = tuple(
            Message("tool", result.text, tool_call_id=run.call_id) for run, result in ordered
        )
        together = EffectOutcomeUnknown("; also ".join(map(str, unknown))) if unknown else None
        return ToolResults(messages, tuple(run for run, _ in ordered), together)

    def _keys(self, calls: Sequence[PlannedCall]) -> list[str]:
        """The calls' idempotency keys.

        A model that is asked again may put other calls before this one, so a call counts only among its like: a call
        of a tool among those of the tool, an unsafe one among all unsafe ones, whatever the tool.
        """
        names = ["" if p.tool.effect is Effect.UNSAFE else p.tool.name for p in calls]
        ref, step = self.task.ref, self.step
        return [tool_call_key(ref, step, names[:i].count(n), n) for i, n in enumerate(names)]

    def _run_one(self, key: str, planned: PlannedCall) -> tuple[ToolRun, _Result]:
        started = self.clock.monotonic()
        is_unsafe = planned.tool.effect is Effect.UNSAFE
        result = self._once(key, planned) if is_unsafe else self._call(key, planned)
        elapsed = round((self.clock.monotonic() - started) * 1000)
        return ToolRun(planned.call.id, planned.tool.name, result.ok, elapsed), result

    def _once(self, key: str, planned: PlannedCall) -> _Result:
        ref = self.task.ref
        asked = f"{planned.tool.name}\n{planned.call.arguments}"
        digest = hashlib.sha256(asked.encode()).hexdigest()[:16]
        mine = f"{self.attempt_id}/{digest}"
        intent = self.store.begin_effect(ref, step=self.step, key=key, attempt_id=mine)
        if intent.attempt_id != mine:
            if intent.result is not None and intent.attempt_id.endswith(f"/{digest}"):
                return _Result(intent.result, intent.ok)
            return _Result(_UNKNOWN, ok=False, unknown=self._unknown(key, planned))
        result = self._call(key, planned)
        if result.unknown is not None:
            return result
        intent = Intent(mine, result.text, result.ok)
        self.store.end_effect(ref, step=self.step, key=key, intent=intent)
        return result

    def _unknown(self, key: str, planned: PlannedCall) -> EffectOutcomeUnknown:
        return EffectOutcomeUnknown(
            f"the tool {planned.tool.name!r} was called in step {self.step} (now asked for with "
            f"{planned.call.arguments[:500]}) and gave no answer; check in the system it acts on whether "
            f"it happened (idempotency key {key}), then resume the task with effect_outcome"
        )

    def _call(self, key: str, planned: PlannedCall) -> _Result:
        context = ToolContext(
            self.task.ref.tenant, self.task.ref.task_id, self.task.user_id, idempotency_key=key
        )
        try:
            text, ok = call_tool(
                lambda: planned.tool.call(planned.arguments, context), planned.tool.name
            )
        except UNKNOWN_OUTCOMES as exc:
            if planned.tool.effect is not Effect.UNSAFE:
                return _Result(valid_text(f"error: {type(exc).__name__}: {exc}"[:2000]), ok=False)
            return _Result(_UNKNOWN, ok=False, unknown=self._unknown(key, planned))
        return _Result(text, ok)


def call_tool(call: Callable[[], str], name: str) -> tuple[str, bool]:
    """The tool's text and True, or what went wrong, in words for the model, and False."""
    try:
        return valid_text(call()), True
    except (RatchetError, *UNKNOWN_OUTCOMES):
        raise
    except Exception as exc:  # noqa: BLE001 - a tool is a team's own code: any error of it is a result
        logger.warning("tool failed", extra={"tool": name, "error": type(exc).__name__})
        return valid_text(f"error: {type(exc).__name__}: {exc}"[:2000]), False
