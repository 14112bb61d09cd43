"""Run the tool calls of one step. Results are keyed by call id; an unsafe call happens at most once."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from ratchet.app.step_trace import StepTrace
from ratchet.contracts.errors import AttemptSuperseded, RatchetError
from ratchet.contracts.names import Effect
from ratchet.domain.identifiers import tool_call_key
from ratchet.domain.memory import RememberedByTask
from ratchet.domain.messages import Message, ToolCall, valid_text
from ratchet.domain.steps import StepPlan, ToolRun
from ratchet.domain.task import UNANSWERED, Task
from ratchet.domain.tools import Tool, ToolContext
from ratchet.observability import logger
from ratchet.ports import CheckpointStore, Clock, Intent

MAX_PARALLEL_CALLS = 8
UNKNOWN_OUTCOMES = (TimeoutError, ConnectionError)
"""What leaves it open whether an unsafe call happened: a tool raises one of these, or a subclass, to say so."""


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call of the model whose tool exists and whose arguments fit its schema."""

    call: ToolCall
    tool: Tool
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unknown:
    """An unsafe call that may have happened, and what a person needs to find out."""

    call_id: str
    question: str


@dataclass(frozen=True, slots=True)
class ToolResults:
    """The tool messages and how each call went, in the order of the calls.

    A call in `unknown` has no message yet: what becomes of it is for a person to say.
    """

    messages: tuple[Message, ...]
    runs: tuple[ToolRun, ...]
    unknown: tuple[Unknown, ...] = ()


class EffectPending(Exception):
    """An earlier attempt may still be making this call; look again in `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"an earlier attempt may be alive for {seconds} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class _Result:
    """How one call went."""

    text: str
    ok: bool
    unknown: Unknown | None = None


_NOT_RUN = _Result("error: not called, because the outcome of an earlier call is not known", False)
_NOT_DONE = "error: the call gave no answer, and has not happened"


@dataclass(frozen=True, slots=True)
class ToolRunner:
    """Runs the calls of one step of one task, as the attempt that owns `plan`.

    `alive_seconds` is how long from now this attempt may be alive, by anybody's clock.
    """

    store: CheckpointStore
    clock: Clock
    task: Task
    step: int
    plan: StepPlan
    alive_seconds: Callable[[], float]
    trace: StepTrace | None = None
    memory: Callable[[str], RememberedByTask] | None = None  # of the call with this idempotency key

    def run(self, calls: Sequence[PlannedCall]) -> ToolResults:
        """Run the calls. When one may have happened in an attempt that died, no unsafe call after it is made.

        Raises:
            StoreUnavailable: an intent could not be recorded; the call was not made.
            AttemptSuperseded: another attempt has taken the step over.
            EffectPending: an earlier attempt may be in the middle of a call.
        """
        beside = [i for i, planned in enumerate(calls) if planned.tool.parallel]
        results: dict[int, tuple[ToolRun, _Result]] = {}
        named = self._keys(calls)
        if len(beside) > 1:
            with ThreadPoolExecutor(min(len(beside), MAX_PARALLEL_CALLS)) as pool:
                done = pool.map(lambda i: self._run_one(named[i], calls[i]), beside)
                results.update(zip(beside, done, strict=True))
        unknown = any(result.unknown for _, result in results.values())
        for index, planned in enumerate(calls):
            if index in results:
                continue
            if unknown and planned.tool.effect is Effect.UNSAFE:
                left = self._left(named[index], planned)
                results[index] = ToolRun(planned.call.id, planned.tool.name, left.ok, 0), left
                continue
            results[index] = self._run_one(named[index], planned)
            unknown = unknown or results[index][1].unknown is not None
        return _together([results[i] for i in range(len(calls))])

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
        ref, step = self.task.ref, self.step
        mine = self._intent(planned)
        intent = self.store.begin_effect(ref, self.plan, step=step, key=key, intent=mine)
        if intent.attempt_id != mine.attempt_id:
            if intent.result is not None:
                return _Result(intent.result, intent.ok)
            found = self._look_after(key, planned, intent)
            if found is not None:
                return found
            if not self.store.retake_effect(ref, step=step, key=key, before=intent, after=mine):
                raise AttemptSuperseded(f"call {key} of step {step} is another attempt's")
        result = self._call(key, planned)
        if result.unknown is None:
            after = replace(mine, result=result.text, ok=result.ok)
            self.store.end_effect(ref, step=step, key=key, intent=after)
        return result

    def _left(self, key: str, planned: PlannedCall) -> _Result:
        """What is said of a call that is not made any more: an attempt before this one may have made it."""
        begun = self.store.begun_effects(self.task.ref, step=self.step)
        intent = None if begun is None else begun.intents.get(key)
        if intent is None:
            return _NOT_RUN
        if intent.result is not None:
            return _Result(intent.result, intent.ok)
        return self._look_after(key, planned, intent) or _NOT_RUN

    def _intent(self, planned: PlannedCall) -> Intent:
        dies_at_ms = self.clock.now_ms() + round(self.alive_seconds() * 1000)
        return Intent(self.plan.owner, planned.call.id, dies_at_ms)

    def _look_after(self, key: str, planned: PlannedCall, intent: Intent) -> _Result | None:
        """What became of a call that an attempt before this one began; None if it surely did not happen."""
        alive_ms = intent.dies_at_ms - self.clock.now_ms()
        if alive_ms > 0:
            raise EffectPending(-(-alive_ms // 1000))
        if planned.tool.verify is None:
            return self._unknown(key, planned)
        return self._verified(key, planned)

    def _verified(self, key: str, planned: PlannedCall) -> _Result | None:
        """What the tool's own `verify` says; None if the call has not happened."""
        try:
            text = planned.tool.check(planned.arguments, self._context(key))
        except Exception as exc:  # noqa: BLE001 - a team's own code: whatever it raises, it cannot tell
            details = {"tool": planned.tool.name, "error": type(exc).__name__}
            logger.warning("verify failed", extra=details)
            return self._unknown(key, planned)
        return None if text is None else _Result(valid_text(text), ok=True)

    def _unknown(self, key: str, planned: PlannedCall) -> _Result:
        question = (
            f"The tool {planned.tool.name!r} was called in step {self.step} with "
            f"{planned.call.arguments[:500]} and gave no answer. Check in the system it acts on whether it "
            f"happened (idempotency key {key})."
        )
        return _Result(UNANSWERED, ok=False, unknown=Unknown(planned.call.id, question))

    def _context(self, key: str) -> ToolContext:
        ref = self.task.ref
        memory = None if self.memory is None else self.memory(key)
        return ToolContext(ref.tenant, ref.task_id, self.task.user_id, key, memory)

    def _call(self, key: str, planned: PlannedCall) -> _Result:
        if self.trace is None:
            return self._made(key, planned)
        return self.trace.run_tool(
            key, planned.tool, lambda: self._made(key, planned), is_ok=lambda result: result.ok
        )

    def _made(self, key: str, planned: PlannedCall) -> _Result:
        context = self._context(key)
        try:
            text, ok = call_tool(
                lambda: planned.tool.call(planned.arguments, context), planned.tool.name
            )
        except UNKNOWN_OUTCOMES as exc:
            if planned.tool.effect is not Effect.UNSAFE:
                return _Result(valid_text(f"error: {type(exc).__name__}: {exc}"[:2000]), ok=False)
            if planned.tool.verify is None:
                return self._unknown(key, planned)
            return self._verified(key, planned) or _Result(_NOT_DONE, ok=False)
        return _Result(text, ok)


def _together(done: Sequence[tuple[ToolRun, _Result]]) -> ToolResults:
    return ToolResults(
        messages=tuple(
            Message("tool", result.text, tool_call_id=run.call_id)
            for run, result in done
            if result.unknown is None
        ),
        runs=tuple(run for run, _ in done),
        unknown=tuple(result.unknown for _, result in done if result.unknown),
    )


def call_tool(call: Callable[[], str], name: str) -> tuple[str, bool]:
    """The tool's text and True, or what went wrong, in words for the model, and False."""
    try:
        return valid_text(call()), True
    except (RatchetError, *UNKNOWN_OUTCOMES):
        raise
    except Exception as exc:  # noqa: BLE001 - a tool is a team's own code: any error of it is a result
        logger.warning("tool failed", extra={"tool": name, "error": type(exc).__name__})
        return valid_text(f"error: {type(exc).__name__}: {exc}"[:2000]), False
