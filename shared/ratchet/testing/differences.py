"""In what a crashed run differs from the undisturbed one, in words that need no knowledge of Ratchet's inside."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ratchet.contracts.names import Effect, TaskStatus
from ratchet.domain.steps import End, Paused, Step, StepRecord
from ratchet.testing.harness import Kill, Observation, TaskOutcome
from ratchet.testing.sandbox import ToolUse

_EXCERPT_CHARS = 160


def differences(calm: Observation, crashed: Observation, kill: Kill | None) -> list[str]:
    """What a crash must not change and did; empty when the agent survived it."""
    found: list[str] = []
    if kill is not None and crashed.died_at is None:
        found.append(f"this run never came to that place ({kill.boundary}): it took another way")
    found += _doubled(crashed.outcome.tool_calls)
    if crashed.unknown_effects and not _is_verified(calm, crashed):
        return found + _not_reviewed(calm, crashed)
    found += _end(calm.outcome, crashed.outcome)
    found += _steps(calm.outcome.steps, crashed.outcome.steps)
    found += _ledger(calm.outcome, crashed.outcome)
    found += _tools(calm.outcome.tool_calls, crashed.outcome.tool_calls)
    found += _paid_again(calm, crashed)
    if calm.outcome.remembered != crashed.outcome.remembered:
        found.append(
            f"memory held {_short(calm.outcome.remembered)} and holds {_short(crashed.outcome.remembered)}"
        )
    if calm.effects != crashed.effects:
        found.append(
            f"the effects on the world were {_short(calm.effects)} and are {_short(crashed.effects)}: "
            "a tool did again, or otherwise, what it had done before"
        )
    return found


def is_left_to_a_person(run: Observation) -> bool:
    """Whether the run asks, as it must, about an unsafe call of which nobody knows if it happened."""
    return bool(run.unknown_effects) and run.outcome.status is TaskStatus.INPUT_REQUIRED


def _is_verified(calm: Observation, crashed: Observation) -> bool:
    """Whether the tools themselves can say what became of every call that the crash left open."""
    verified = {use.idempotency_key for use in calm.outcome.tool_calls if use.is_verified}
    return crashed.unknown_effects <= verified


def _not_reviewed(calm: Observation, crashed: Observation) -> list[str]:
    """The crash hit an unsafe call that was begun: the task must say so, not guess."""
    found = []
    if not is_left_to_a_person(crashed):
        found.append(
            "an unsafe tool call was begun and nobody can know whether it happened, so the task must ask a person "
            f"('{TaskStatus.INPUT_REQUIRED.value}'); it ended as {_ending(crashed.outcome)}"
        )
    before = crashed.outcome.steps[:-1]
    return found + _steps(calm.outcome.steps[: len(before)], before)


def _doubled(uses: Iterable[ToolUse]) -> list[str]:
    return [
        f"the unsafe tool {first.tool!r} was called {len(same)} times in step {first.step} for one and the same call "
        f"(idempotency key {key}, arguments {_short(first.arguments)}); unsafe tools are called at most once"
        for key, same in _by_key(uses).items()
        if (first := same[0]).effect is Effect.UNSAFE and len(same) > 1
    ]


def _end(calm: TaskOutcome, crashed: TaskOutcome) -> list[str]:
    found = []
    if _ending(calm) != _ending(crashed):
        found.append(f"the task ended as {_ending(crashed)} instead of {_ending(calm)}")
    if calm.output != crashed.output:
        found.append(f"the final output was {_short(calm.output)} and is {_short(crashed.output)}")
    return found


def _steps(calm: Sequence[StepRecord], crashed: Sequence[StepRecord]) -> list[str]:
    """The first step that differs; those after it only follow from it."""
    for one, other in zip(calm, crashed, strict=False):
        found = _step(one, other)
        if found:
            return [f"step {one.number} ({one.result.type.value}): {what}" for what in found]
    if len(calm) != len(crashed):
        return [f"the task took {len(crashed)} steps instead of {len(calm)}"]
    return []


def _step(calm: StepRecord, crashed: StepRecord) -> list[str]:
    one, other = calm.result, crashed.result
    pairs: list[tuple[str, object, object]] = [
        (
            "its kind",
            (one.type.value, one.complexity.value, one.purpose.value),
            (other.type.value, other.complexity.value, other.purpose.value),
        ),
        ("its model", one.model, other.model),
        ("its route", (one.route, one.reason), (other.route, other.reason)),
        ("its tokens", one.usage, other.usage),
        ("its cost in micro-dollars", one.cost_microusd, other.cost_microusd),
        ("what follows it", _following(calm), _following(crashed)),
    ]
    found = [f"{what} was {_short(a)} and is {_short(b)}" for what, a, b in pairs if a != b]
    for a, b in zip(one.messages, other.messages, strict=False):
        if a != b:
            who = "a tool's result" if a.role == "tool" else f"a message of the {a.role}"
            was, now = (m.content or m.to_chat().get("tool_calls") for m in (a, b))
            found.append(f"{who} was {_short(was)} and is {_short(now)}")
    if len(one.messages) != len(other.messages):
        found.append(f"it added {len(other.messages)} messages instead of {len(one.messages)}")
    runs = [[(r.call_id, r.name, r.ok) for r in result.tool_runs] for result in (one, other)]
    if runs[0] != runs[1]:
        found.append(f"its tool calls were {_short(runs[0])} and are {_short(runs[1])}")
    return found


def _ledger(calm: TaskOutcome, crashed: TaskOutcome) -> list[str]:
    was, now = (run.cost_microusd - run.lost_microusd for run in (calm, crashed))
    if (calm.usage, was) == (crashed.usage, now):
        return []
    return [
        f"the ledger says {crashed.usage.total_tokens} tokens for {now} micro-dollars "
        f"instead of {calm.usage.total_tokens} for {was}"
    ]


def _tools(calm: Iterable[ToolUse], crashed: Iterable[ToolUse]) -> list[str]:
    """The same calls with the same arguments; `read` and `idempotent` ones may have been made again."""
    found = []
    before, now = _by_key(calm), _by_key(crashed)
    for key in before.keys() - now.keys():
        found.append(
            f"the tool {before[key][0].tool!r} was not called; it was in step {before[key][0].step}"
        )
    for key in now.keys() - before.keys():
        found.append(
            f"the tool {now[key][0].tool!r} was called in step {now[key][0].step} under an idempotency key that the "
            "undisturbed run never used: what it does would happen twice"
        )
    for key in now.keys() & before.keys():
        odd = [use for use in now[key] if use.arguments != before[key][0].arguments]
        if odd:
            found.append(
                f"the tool {odd[0].tool!r} was called in step {odd[0].step} under the same idempotency key with other "
                f"arguments: {_short(before[key][0].arguments)}, then {_short(odd[0].arguments)}"
            )
    return found


def _paid_again(calm: Observation, crashed: Observation) -> list[str]:
    """A crash may lose the model calls of one attempt at one step, and they are paid again; never more than that."""
    more = [d for d, times in crashed.asked.items() if times > calm.asked.get(d, 0) + 1]
    return [
        f"{crashed.prompts[digest].model} was asked the same question {crashed.asked[digest]} times instead of "
        f"{calm.asked.get(digest, 0)}; one crash may repeat a question once"
        for digest in more
    ]


def _by_key(uses: Iterable[ToolUse]) -> dict[str, list[ToolUse]]:
    grouped: defaultdict[str, list[ToolUse]] = defaultdict(list)
    for use in uses:
        grouped[use.idempotency_key].append(use)
    return dict(grouped)


def _ending(outcome: TaskOutcome) -> str:
    if outcome.failure is None:
        return f"'{outcome.status.value}'"
    return f"'{outcome.status.value}' ({outcome.failure.code}: {outcome.failure.message[:_EXCERPT_CHARS]})"


def _following(record: StepRecord) -> str:
    match record.next:
        case Step(type=type_, complexity=complexity, purpose=purpose):
            return f"a {complexity.value} {type_.value} step ({purpose.value})"
        case Paused(interrupts=interrupts):
            return f"{len(interrupts)} questions to people"
        case End(status=status):
            return f"the end as {status.value}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _EXCERPT_CHARS else f"{text[:_EXCERPT_CHARS]}..."
