"""Does an agent survive crashes? Kill it at every boundary, let Ratchet recover it, and compare.

    def test_support_survives_every_crash():
        crash_every_step(support, "Refund order A-1.", model=[...], reset=ledger.clear, effects=lambda: list(ledger))

A boundary is a place before or after a call of a step to the world: loading the task, the model, each tool, the
intent and the result record of an unsafe tool, the commit. For each one the task is run twice more: once the sandbox
dies there and the state machine runs the step again, once its whole execution dies and the sweeper starts the next.
A dead sandbox makes no more calls. Every such run must have the same output, status, steps, tokens and dollars as the
undisturbed one and the same tool calls under the same idempotency keys. `read` and `idempotent` tools may be called
again. An `unsafe` one may not: when it was begun and no result was recorded, its `verify` must know what became of it,
or the task must ask a person (`input_required`). A lost attempt may ask the model the same question once more, which
the ledger of committed steps does not show.

What it cannot see: what a tool does to the world. A tool that is declared `read` and has an effect passes, unless
`effects` shows it: a function whose value after a run (rows, mails sent, charges) must be the same after every run.
`reset` puts the tools' world back before each run; without it, tools that remember answer differently each time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.agent import Agent
from ratchet.testing.answers import AnswerBook, Model
from ratchet.testing.deployment import Recovery, Settings, quiet_log
from ratchet.testing.differences import differences, is_left_to_a_person
from ratchet.testing.harness import Kill, Observation, Scene, TaskOutcome

__all__ = ["CrashFailure", "CrashReport", "crash_every_step", "kills_of"]

_SHOWN = 5
_HINT = (
    "Its tools or its model answer differently from run to run. Pass `reset` to put back what the tools remember, "
    "and keep clocks and random numbers out of what they return."
)


class CrashFailure(AssertionError):
    """The agent does not survive; the message says where, and what differed."""


@dataclass(frozen=True, slots=True)
class CrashReport:
    """What was tried. `left_to_a_person`: runs that rightly asked what became of an unsafe call."""

    agent: str
    outcome: TaskOutcome
    boundaries: int
    runs: int
    left_to_a_person: int
    repeated_model_calls: int
    repeated_tool_calls: int

    def __str__(self) -> str:
        return (
            f"{self.agent}: killed at {self.boundaries} boundaries in {self.runs} runs of {len(self.outcome.steps)} "
            f"steps; all ended as they should ({self.left_to_a_person} with a question to a person). "
            f"Repeated: {self.repeated_model_calls} model calls, {self.repeated_tool_calls} tool calls."
        )


def crash_every_step(
    agent: Agent,
    goal: str,
    *,
    model: Model,
    reset: Callable[[], object] | None = None,
    effects: Callable[[], object] | None = None,
    settings: Settings | None = None,
    **request: object,
) -> CrashReport:
    """Kill the agent at every boundary of this task, print how many there were, and say how it went.

    Raises:
        CrashFailure: a run ended otherwise than the undisturbed one.
    """
    body = TaskRequest.model_validate({"goal": goal, **request})
    scene = Scene(agent, AnswerBook(model), body, settings or Settings(), effects=effects)
    reset = reset or _nothing
    reset()
    calm = scene.play()
    with quiet_log():
        reset()
        check_is_repeatable(agent, calm, scene)
        runs = [(kill, *_crashed(scene, calm, kill, reset)) for kill in kills_of(calm)]
    wrong = [(kill, found) for kill, _, found in runs if found]
    if wrong:
        raise CrashFailure(_complaint(agent, wrong, runs=len(runs)))
    report = _report(agent, calm, [run for _, run, _ in runs if run is not None])
    print(report)  # noqa: T201 - the figure is what one runs it for
    return report


def kills_of(calm: Observation) -> Iterator[Kill]:
    """Every way in which a run can die once: at each boundary, with its execution and without."""
    for boundary in calm.boundaries:
        for recovery in Recovery:
            yield Kill(boundary, recovery)


def check_is_repeatable(agent: Agent, calm: Observation, scene: Scene) -> Observation:
    """A second undisturbed run must be like the first, or no crash could be told from chance.

    Raises:
        CrashFailure: it is not.
    """
    again, found = play_like(scene, calm, None)
    if found or again is None:
        said = "\n".join(f"   - {what}" for what in found)
        raise CrashFailure(
            f"the agent {agent.name!r} differs between two runs without any crash:\n{said}\n{_HINT}"
        )
    return again


def play_like(
    scene: Scene, calm: Observation, kill: Kill | None
) -> tuple[Observation | None, list[str]]:
    """One run, and in what it differs from the undisturbed one."""
    try:
        run = scene.play(kill, like=calm)
    except AssertionError as exc:
        return None, [f"the run could not go on as before: {exc}"]
    return run, differences(calm, run, kill)


def failed_at(kill: Kill, found: Sequence[str]) -> str:
    """One failure in words."""
    return "\n".join([str(kill), *(f"   - {what}" for what in found)])


def _crashed(
    scene: Scene, calm: Observation, kill: Kill, reset: Callable[[], object]
) -> tuple[Observation | None, list[str]]:
    reset()
    return play_like(scene, calm, kill)


def _complaint(agent: Agent, wrong: Sequence[tuple[Kill, list[str]]], *, runs: int) -> str:
    shown = [f"{n}. {failed_at(kill, found)}" for n, (kill, found) in enumerate(wrong[:_SHOWN], 1)]
    if len(wrong) > _SHOWN:
        shown.append(f"... and {len(wrong) - _SHOWN} more")
    head = (
        f"the agent {agent.name!r} does not survive every crash: {len(wrong)} of {runs} crashed runs "
        "differ from the undisturbed one."
    )
    return "\n".join([head, *shown])


def _report(agent: Agent, calm: Observation, runs: Sequence[Observation]) -> CrashReport:
    return CrashReport(
        agent=agent.name,
        outcome=calm.outcome,
        boundaries=len(calm.boundaries),
        runs=len(runs),
        left_to_a_person=sum(is_left_to_a_person(run) for run in runs),
        repeated_model_calls=sum(
            max(run.asked[digest] - times, 0)
            for run in runs
            for digest, times in calm.asked.items()
            if digest in run.asked
        ),
        repeated_tool_calls=sum(
            len(run.outcome.tool_calls) - len({u.idempotency_key for u in run.outcome.tool_calls})
            for run in runs
        ),
    )


def _nothing() -> None:
    """There is nothing to put back."""
