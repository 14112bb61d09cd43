"""Section `step-cpu`: what the framework itself costs per step, in CPU of the process that runs it."""

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.figures import Ratio, Section, amount, median, spread
from tests.bench.peers import STEP_CPU
from tests.bench.stub_server import stub_server

NAME = "step-cpu"
ROUNDS = 6
AIM_MS = 3.0
UNIT = "naive, once per cycle"
"""What figures of other machines are divided by, here and there: one item put (or read and put) per step."""
DUMMY_AWS = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "stub",
    "AWS_SECRET_ACCESS_KEY": "stub",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def run() -> Section:
    """Run the worker against the stub server."""
    section = Section(NAME)
    found = measured()
    times: dict[str, list[float]] = found["milliseconds"]
    section.say(
        "CPU ms per step: median over tasks of 25 cycles (p10-p90). Ours includes prompt, limits, validation of the",
        "arguments, the tool's call, logs and metrics; a naive step stores the conversation and does nothing else.",
        "'Each step' stores after the model call and again after the tool call; its figure is per cycle all the same.",
        "DynamoDB is a stub in another process, over HTTP without TLS; the model is a script unless said otherwise.",
        "",
    )
    section.table(("way", "ms per step"), [(name, spread(ms)) for name, ms in times.items()])
    section.say("", f"A task of 25 cycles logs {found['log_bytes']:,} bytes, metrics included.")
    section.figures["milliseconds"] = {name: median(ms) for name, ms in times.items()}
    section.figures["log_bytes"] = found["log_bytes"]
    middle = {name: median(ms) for name, ms in times.items()}
    _quote(section, middle)
    section.ratios += _ratios(middle)
    return section


@functools.cache
def measured() -> Any:
    """What the worker finds, once per run of the bench."""
    with stub_server() as endpoint, tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", "tests.bench.step_worker", str(result), str(ROUNDS)]
        environment = {
            **os.environ,
            **DUMMY_AWS,
            "AWS_ENDPOINT_URL": endpoint,
            "POWERTOOLS_SERVICE_NAME": "step_executor",
            "POWERTOOLS_LOG_LEVEL": "INFO",
        }
        with (Path(folder) / "log").open("w", encoding="utf-8") as log:
            subprocess.run(command, env=environment, stdout=log, check=True)
        return json.loads(result.read_text(encoding="utf-8"))


def _quote(section: Section, middle: dict[str, float]) -> None:
    section.say(
        "",
        f"PERF.md's rows come from another machine, so they are shown in units of '{UNIT}' of their own run:",
    )
    rows = [
        (
            "Ratchet (here)",
            *(_units(ms, own) for ms, own in zip(_ours(middle), _unit(middle), strict=True)),
        )
    ]
    published = STEP_CPU[UNIT]
    rows += [
        (f"PERF.md: {name}", _units(one, published[0]), _units(fresh, published[1]))
        for name, (one, fresh) in STEP_CPU.items()
    ]
    section.table(("system", "one process", "fresh per step"), rows)


def _ours(middle: dict[str, float]) -> tuple[float, float]:
    return middle["ours, warm"], middle["ours, fresh"]


def _unit(middle: dict[str, float]) -> tuple[float, float]:
    return middle[UNIT], middle[f"{UNIT}, fresh"]


def _units(value: float | None, unit: float | None) -> str:
    return "-" if value is None or unit is None else amount(value / unit, "x").replace(" x", "x")


def _ratios(middle: dict[str, float]) -> list[Ratio]:
    warm, fresh = _ours(middle)
    found = [
        Ratio("step CPU, warm", warm, "the aim", AIM_MS, "ms", bar=1.0),
        Ratio(
            "step CPU, ports in memory",
            middle["ours, ports in memory"],
            "naive loop, in memory (here)",
            middle["naive loop, in memory"],
            "ms",
        ),
        Ratio(
            "step CPU, warm",
            warm,
            "naive, each step (here)",
            middle["naive, each step"],
            "ms",
            bar=1.0,
        ),
        Ratio("step CPU, warm", warm, "append zlib (here)", middle["append zlib"], "ms"),
        Ratio(
            "step CPU, fresh",
            fresh,
            "naive, each step, fresh (here)",
            middle["naive, each step, fresh"],
            "ms",
            bar=1.0,
        ),
        Ratio(
            "step CPU, fresh",
            fresh,
            "append zlib, fresh (here)",
            middle["append zlib, fresh"],
            "ms",
        ),
    ]
    one, anew = STEP_CPU[UNIT]
    for name in (
        "Celery + Redis",
        "openai-agents + SQLite",
        "AWS durable SDK",
        "pydantic-ai, one item",
    ):
        theirs_one, theirs_fresh = STEP_CPU[name]
        pairs = (
            ("warm", warm / _unit(middle)[0], theirs_one, one),
            ("fresh", fresh / _unit(middle)[1], theirs_fresh, anew),
        )
        for how, ours, theirs, unit in pairs:
            if theirs is not None and unit is not None:
                found.append(
                    Ratio(
                        f"step CPU, {how}, in naive steps",
                        ours,
                        f"PERF.md: {name}",
                        theirs / unit,
                        "",
                        bar=1.0,
                    )
                )
    return found
