"""What must be true after the demo."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from ratchet.cli.demo_run import DemoTask
from ratchet.contracts.names import Complexity, Json, StepType, TaskStatus

_CITATION = re.compile(r"\[([a-z0-9-]+)\]")


@dataclass(frozen=True, slots=True)
class DemoCheck:
    """One promise and whether it held."""

    name: str
    ok: bool
    detail: str

    def to_json(self) -> dict[str, Json]:
        """For `--json`."""
        return asdict(self)


def check_demo(tasks: Sequence[DemoTask], *, scripted: bool) -> list[DemoCheck]:
    """Every check; a real model rates the goals itself, so routes are expected of the script only."""
    checks = [
        _check_status(tasks),
        _check_steps(tasks),
        _check_sources(tasks),
        _check_bill(tasks),
        _check_announcements("webhooks", (task.webhook for task in tasks), "signature verified"),
        _check_announcements("SNS", (task.sns for task in tasks), "message received"),
    ]
    return [*checks, _check_routes(tasks)] if scripted else checks


def _check_status(tasks: Sequence[DemoTask]) -> DemoCheck:
    ended = [task.view.status for task in tasks]
    ok = all(status is TaskStatus.SUCCEEDED for status in ended)
    return DemoCheck("tasks", ok, ", ".join(status.value for status in ended))


def _check_steps(tasks: Sequence[DemoTask]) -> DemoCheck:
    counts = [len(task.steps) for task in tasks]
    gapless = all(
        [step.number for step in task.steps] == list(range(1, task.view.progress.steps + 1))
        for task in tasks
    )
    return DemoCheck("steps", gapless, f"{' and '.join(map(str, counts))}, each recorded once")


def _check_routes(tasks: Sequence[DemoTask]) -> DemoCheck:
    used = {(s.type, s.complexity): s.model for task in tasks for s in task.steps}
    types, levels = {type_ for type_, _ in used}, {level for _, level in used}
    missing = [*(set(StepType) - types), *(set(Complexity) - levels)]
    detail = f"{len(used)} routes to {len(set(used.values()))} models"
    if missing:
        detail += f"; without {', '.join(sorted(missing))}"
    return DemoCheck("routing", not missing, detail)


def _check_sources(tasks: Sequence[DemoTask]) -> DemoCheck:
    """Every citation in an answer is a listed source, and there is at least one."""
    found = [_cited(task.view.result) for task in tasks]
    ok = all(cited and cited <= sources for cited, sources in found)
    cited = sorted({name for names, _ in found for name in names})
    return DemoCheck("answers", ok, f"cite {', '.join(cited) or 'nothing'}")


def _check_bill(tasks: Sequence[DemoTask]) -> DemoCheck:
    """The steps' costs add up to the task's, to the micro-dollar."""
    ok = all(
        round(sum(s.cost_usd for s in task.steps), 6) == round(task.view.cost_usd, 6) > 0
        for task in tasks
    )
    return DemoCheck("costs", ok, "the steps add up to the task" if ok else "do not add up")


def _check_announcements(channel: str, events: Iterable[Json], how: str) -> DemoCheck:
    types = [str(e["type"]) if isinstance(e, dict) else "none" for e in events]
    ok = all(type_ == "task.succeeded" for type_ in types)
    return DemoCheck(channel, ok, f"{', '.join(types)}{f'; {how}' if ok else ''}")


def _cited(result: Json) -> tuple[set[str], set[str]]:
    if not isinstance(result, dict):
        return set(), set()
    sources = result.get("sources")
    listed = {str(source) for source in sources} if isinstance(sources, list) else set()
    return set(_CITATION.findall(str(result.get("answer", "")))), listed
