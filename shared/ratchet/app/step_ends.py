"""What the record of a step says beside what the step did."""

from collections.abc import Mapping
from dataclasses import replace

from ratchet.contracts.messages import StepInput
from ratchet.contracts.names import Effect
from ratchet.domain.steps import Runs, Step, StepResult
from ratchet.domain.task import History, closing_messages, closing_runs
from ratchet.domain.tools import Tool


def closed(result: StepResult, history: History) -> StepResult:
    """The result of a step that did nothing but end the task: it has the last words on calls without a result."""
    return replace(result, messages=closing_messages(history), tool_runs=closing_runs(history))


def runs_of(
    event: StepInput, result: StepResult, tools: Mapping[str, Tool], milliseconds: int
) -> Runs:
    """What this attempt, and those at this step before it, took of AWS."""
    unsafe = {name for name, tool in tools.items() if tool.effect is Effect.UNSAFE}
    return Runs(
        milliseconds=max(milliseconds, 0),  # a clock that was set back
        waits=event.step.waits,
        retries=event.attempt,
        unsafe_calls=sum(run.name in unsafe for run in result.tool_runs),
        idle=0 if result.model else 1,
    )


def runs_beside(event: StepInput, history: History, cached: Runs) -> Runs:
    """What the attempt took of AWS beside its step: the task's slot, and its requests to the response cache.

    Attempts before it that waited or died are taken to have looked for as many answers; none of them has kept one.
    """
    tries = 1 + event.step.waits + event.attempt
    return replace(
        cached, seats=int(_has_been_seated(history)), cache_reads=cached.cache_reads * tries
    )


def _has_been_seated(history: History) -> bool:
    """Whether the task has taken a slot since its last step: it was new, or had ended, or asked."""
    records = history.records
    was_queued = not records or (len(records) > 1 and not isinstance(records[-2].next, Step))
    return was_queued and history.state.slot is not None
