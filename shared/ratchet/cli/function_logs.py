"""Which lines of the functions' logs are worth a developer's attention."""

import json
import re
import sys
from typing import TextIO

_PLATFORM_LINES = ("START ", "END ", "REPORT ", "INIT_START ")
_PHYSICAL_NAME = re.compile(r"(\w+?)(?:Function)?[0-9A-F]{8}")
_BLAME = "LAMBDA_WARNING: Unhandled exception."  # the runtime's advice; the error follows
_SHOWN_LEVELS = frozenset({"WARNING", "ERROR", "CRITICAL"})
_HIDDEN_KEYS = frozenset(
    {
        "level", "location", "message", "timestamp", "service", "cold_start", "function_arn",
        "function_memory_size", "function_name", "function_request_id", "xray_trace_id",
        "exception", "stack_trace",
    }
)  # fmt: skip


class LogPrinter:
    """Prints warnings, errors and what is no log record (prints of tools); or everything."""

    def __init__(self, file: TextIO = sys.stderr, *, verbose: bool = False) -> None:
        self._file = file
        self._verbose = verbose

    def __call__(self, function: str, line: str) -> None:
        """One line of one function."""
        shown = line if self._verbose else readable(line)
        if shown:
            print(f"{_short(function)}: {shown}", file=self._file, flush=True)


def readable(line: str) -> str | None:
    """The line as people read it, or None if it is not worth showing."""
    try:
        record = json.loads(line)
    except ValueError:
        is_noise = not line.strip() or line.startswith(_PLATFORM_LINES) or _BLAME in line
        return None if is_noise else line.replace("\r", "\n")  # the runtime keeps tracebacks whole
    if not isinstance(record, dict) or record.get("level") not in _SHOWN_LEVELS:
        return None
    extras = " ".join(f"{k}={v}" for k, v in record.items() if k not in _HIDDEN_KEYS)
    text = f"{record['level']} {record.get('message', '')} {extras}".rstrip()
    trace = record.get("exception")
    return f"{text}\n{trace}" if trace else text


def _short(function: str) -> str:
    """`Ratchet-StepExecutorFunctionCE271BD4-x` as `StepExecutor`."""
    found = _PHYSICAL_NAME.search(function)
    return found.group(1) if found else function
