"""PERF.md's standard agent as tasks and steps: the load that all stores are compared on."""

import random
from collections.abc import Iterator

from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Complexity, StepType, TaskStatus
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.models import Usage
from ratchet.domain.steps import End, Step, StepRecord, StepResult, ToolRun, Totals
from ratchet.domain.task import Task, TaskLimits

START_MS = 1_767_225_600_000
_SYLLABLES = (
    "an be ca de en fo ge hi in ju ke lo ma ne or pe qua re sa te un ve wa "
    "tion ment ing est ion ple der con pro ver ter ance ity"
)


class Prose:
    """Words from a vocabulary of 5,000, evenly: deflates as plain English does (measured: licence texts)."""

    def __init__(self, seed: int = 7) -> None:
        self._random = random.Random(seed)
        syllables = _SYLLABLES.split()
        lengths = [self._random.randint(1, 3) for _ in range(5_000)]
        self._words = ["".join(self._random.choices(syllables, k=k)) for k in lengths]

    def text(self, chars: int) -> str:
        words = self._random.choices(self._words, k=chars)
        return " ".join(words)[:chars]

    def hex(self, chars: int) -> str:
        return f"{self._random.getrandbits(4 * chars):0{chars}x}"


def standard_task(prose: Prose) -> Task:
    """The goal of 300 characters."""
    return Task(
        ref=TaskRef("acme", "task_01KDVDX3Z8Q4W6ERTY7P2ASDFG"),
        goal=prose.text(300),
        agent="standard",
        agent_version="0123456789ab",
        first_step=Step(StepType.TOOL_DISPATCH, Complexity.SIMPLE),
        limits=TaskLimits(),
        created_at_ms=START_MS,
    )


def standard_steps(cycles: int, prose: Prose) -> Iterator[StepRecord]:
    """Cycles of a 400-character call and a 1,200-character result, then 1,000 characters of answer."""
    totals = Totals()
    for number in range(1, cycles + 2):
        final = number > cycles
        result = _final(prose) if final else _cycle(prose, number)
        totals = totals.plus(result)
        following = (
            End(TaskStatus.SUCCEEDED, output=result.answer)
            if final
            else Step(StepType.TOOL_DISPATCH, Complexity.SIMPLE)
        )
        yield StepRecord(
            number=number,
            result=result,
            next=following,
            totals=totals,
            attempt=0,
            started_at_ms=START_MS + 3_017 * number,
            finished_at_ms=START_MS + 3_017 * number + 2_890,
        )


def _cycle(prose: Prose, number: int) -> StepResult:
    call_id = f"call_{prose.hex(24)}"
    call = ToolCall(call_id, "search", f'{{"query": "{prose.text(40)}"}}')
    return StepResult(
        type=StepType.TOOL_DISPATCH,
        complexity=Complexity.SIMPLE,
        messages=(
            Message("assistant", prose.text(360), (call,)),
            Message("tool", prose.text(1_200), tool_call_id=call_id),
        ),
        tool_runs=(ToolRun(call_id, "search", ok=True, milliseconds=137),),
        model="gpt-4o-mini",
        route="tool_dispatch simple",
        reason="preferred",
        usage=Usage(900 + 420 * number, 850 + 400 * number, 130, 0),
        cost_microusd=211 + number,
    )


def _final(prose: Prose) -> StepResult:
    return StepResult(
        type=StepType.FINAL_SYNTHESIS,
        complexity=Complexity.SIMPLE,
        messages=(Message("assistant", prose.text(1_000)),),
        model="gpt-4o",
        route="final_synthesis simple",
        reason="preferred",
        usage=Usage(11_400, 10_000, 260, 0),
        cost_microusd=18_500,
    )
