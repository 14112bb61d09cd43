"""The steps of a task as a table, and the task itself as text."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ratchet.cli.output import dollars, duration
from ratchet.contracts.interrupt_api import InterruptView
from ratchet.contracts.names import Json, Purpose, TaskStatus
from ratchet.contracts.step_api import StepView, ToolRunView
from ratchet.contracts.task_api import TaskView
from ratchet.contracts.usage_report import UsageView

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

# Widths add up to 100 columns with the gaps; rich wraps what is longer within its column.
_COLUMNS = (
    ("#", 2, True),
    ("step", 15, False),
    ("rated", 7, False),
    ("model", 11, False),
    ("why", 9, False),
    ("tools", 16, False),
    ("tokens (cached)", 15, True),
    ("cost", 9, True),
    ("time", 7, True),
)
STATUS_STYLES = {
    TaskStatus.SUCCEEDED: "green",
    TaskStatus.FAILED: "red",
    TaskStatus.TIMED_OUT: "red",
    TaskStatus.BUDGET_EXCEEDED: "red",
    TaskStatus.CANCELLED: "yellow",
    TaskStatus.INPUT_REQUIRED: "yellow",
}


def step_table(steps: Iterable[StepView], *, header: bool = True) -> "Table":
    """One row per step; tables of single steps line up below one with a header."""
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, show_header=header, padding=(0, 1, 0, 0), header_style="bold")
    for title, width, is_number in _COLUMNS:
        justify = "right" if is_number else "left"
        table.add_column(title, width=width, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for step in steps:
        table.add_row(*_cells(step))
    return table


def total_line(task: TaskView) -> str:
    """What the task used up, in one line."""
    span = _milliseconds(task.created_at, task.updated_at)
    return (
        f"total: {task.progress.steps} steps, {_tokens(task.usage)} tokens, "
        f"{dollars(task.cost_usd)}, {duration(span)}"
    )


def cost_lines(task: TaskView) -> list[str]:
    """Models and AWS side by side; nothing from an API that does not tell."""
    cost = task.cost
    if cost is None:
        return []
    services = ", ".join(f"{name} {dollars(usd)}" for name, usd in cost.aws.items())
    return [
        f"cost:  {dollars(cost.models_usd)} models + {dollars(cost.aws_usd)} AWS (estimated) = "
        f"{dollars(cost.total_usd)}",
        f"AWS:   {services}",
    ]


def status_text(status: TaskStatus) -> "Text":
    """The status in its colour."""
    from rich.text import Text  # noqa: PLC0415

    return Text(status.value, style=STATUS_STYLES.get(status, "cyan"))


def question_lines(interrupt: InterruptView) -> list[str]:
    """A question, and the command that answers it."""
    command = f"ratchet answer {interrupt.task_id} {interrupt.id}"
    choices = _printable("|".join(interrupt.choices)) or "TEXT"
    return [
        _printable(interrupt.question),
        *_argument_lines(interrupt),
        f"  open until {moment(interrupt.expires_at)}; answer:  {command} {choices}",
    ]


def _argument_lines(interrupt: InterruptView) -> list[str]:
    """What would be called, argument by argument and whole: what is approved must be seen."""
    if not isinstance(interrupt.arguments, dict):
        return []
    return [_printable(f"  {name}: {_line(value)}") for name, value in interrupt.arguments.items()]


def _printable(text: str) -> str:
    """Text of a model without what a terminal would act on."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def outcome_lines(task: TaskView) -> list[str]:
    """What it asks, the error, if there is one, and the result, as far as there is one."""
    lines = [line for interrupt in task.interrupts for line in question_lines(interrupt)]
    if task.error is not None:
        lines.append(f"{task.error.code}: {task.error.message}")
    if task.result is not None:
        lines += result_lines(task.result)
    return lines


def result_lines(result: Json) -> list[str]:
    """A result for people: text as it is, an object field by field."""
    if isinstance(result, str):
        return [result]
    if not isinstance(result, dict):
        return [json.dumps(result, indent=2, ensure_ascii=False)]
    return [f"{name}: {_plain(value)}" for name, value in result.items()]


def moment(timestamp: str) -> str:
    """A timestamp to the second, in local time."""
    try:
        return datetime.fromisoformat(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return timestamp


def _cells(step: StepView) -> tuple[str, ...]:
    return (
        str(step.number),
        step.type.value if step.purpose is Purpose.WORK else step.purpose.value,
        step.complexity.value,
        step.model or "-",
        step.reason,
        _tool_names(step.tools),
        _tokens(step.usage),
        dollars(step.cost_usd),
        duration(step.duration_ms),
    )


def _tool_names(runs: Sequence[ToolRunView]) -> str:
    """Each tool once, with how often it was called and how often it failed."""
    calls, failures = Counter(r.name for r in runs), Counter(r.name for r in runs if not r.ok)
    names = []
    for name, count in calls.items():
        times = f" x{count}" if count > 1 else ""
        failed = f" ({failures[name]} failed)" if failures[name] else ""
        names.append(f"{name}{times}{failed}")
    return "\n".join(names)


def _tokens(usage: UsageView) -> str:
    total = f"{usage.input_tokens + usage.output_tokens:,}"
    return f"{total} ({usage.cached_tokens:,})" if usage.cached_tokens else total


def _milliseconds(start: str, end: str) -> int:
    try:
        span = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    except ValueError:
        return 0
    return round(span.total_seconds() * 1000)


def _line(value: Json) -> str:
    """On one line: what goes on below it would look like the next argument."""
    text = _plain(value)
    return json.dumps(value, ensure_ascii=False) if "\n" in text else text


def _plain(value: Json) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(str(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
