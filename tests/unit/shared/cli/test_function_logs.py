import io
import json

import pytest

from ratchet.cli.function_logs import LogPrinter, readable

NAME = "Ratchet-StepExecutorFunction2B55D581-9a3ee03ccb58"


def record(level: str, **extras: str) -> str:
    return json.dumps({"level": level, "message": "model call failed", "service": "s", **extras})


@pytest.mark.parametrize(
    "line", ["", "START RequestId: 1", "END RequestId: 1", "REPORT x", record("INFO"), "[1]", "7"]
)
def test_routine_lines_are_left_out(line: str) -> None:
    assert readable(line) is None


def test_warnings_are_shown_with_their_ids() -> None:
    line = record("WARNING", task_id="task_1", function_name="f")

    assert readable(line) == "WARNING model call failed task_id=task_1"


def test_tracebacks_are_shown() -> None:
    assert readable(record("ERROR", exception="Traceback ...\nX")) == (
        "ERROR model call failed\nTraceback ...\nX"
    )
    assert readable("[ERROR] X\rTraceback") == "[ERROR] X\nTraceback"


def test_prints_of_tools_are_shown() -> None:
    assert readable("here I am") == "here I am"


def test_lines_name_their_function() -> None:
    out = io.StringIO()

    LogPrinter(out)(NAME, "here I am")
    LogPrinter(out)(NAME, record("INFO"))
    LogPrinter(out, verbose=True)("other", "START")

    assert out.getvalue() == "StepExecutor: here I am\nother: START\n"
