"""Section `cold-start`: CPU of importing each handler and building its wiring, against one that imports eagerly."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, Ratio, Section, interleaved, median, spread
from tests.bench.peers import EAGER_NO_PYC_MS, EAGER_PYC_MS
from tests.bench.sandboxes import ROOT, Sandbox, Sandboxes

NAME = "cold-start"
ROUNDS = 5
BARS = {"step_executor": 0.35, "api": 0.15, "dispatcher": 0.15, "deliverer": 0.15}
PLAIN = "eager, nothing compiled"
ZIP = "eager, only the stdlib compiled"
COMPILED = "eager, all compiled"
FIRST_REQUEST = "api with its first request"
TOP = 5


def run() -> Section:
    """Measure all handlers and the eager one, in turns."""
    section = Section(NAME)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sandboxes = Sandboxes.create(folder / "sandboxes")
        commands = _commands(sandboxes, folder)
        for command in commands.values():
            cpu_ms(command)  # fills the page cache, and bytecode caches where a sandbox has them
        times = interleaved({n: partial(cpu_ms, c) for n, c in commands.items()}, rounds=ROUNDS)
        middle = {what: median(ms) for what, ms in times.items()}
        _describe(section, sandboxes)
        _show(section, times)
        for what, sandbox in sandboxes.ours.items():
            _show_costs(section, what, sandbox)
    section.figures["milliseconds"] = middle
    section.ratios += _ratios(middle)
    return section


def cpu_ms(command: list[str]) -> float:
    """User and system CPU of a process, interpreter included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env={"PATH": os.defpath}, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def _commands(sandboxes: Sandboxes, folder: Path) -> dict[str, list[str]]:
    stdlib_only = folder / "stdlib-bytecode"
    prefix = f"pycache_prefix={stdlib_only}"
    eager = sandboxes.eager
    cpu_ms(eager.command("-X", prefix))
    for path in eager.paths:
        shutil.rmtree(stdlib_only / path.relative_to("/"))
    return {
        "bare interpreter": [sys.executable, "-I", "-S", "-c", "pass"],
        PLAIN: eager.command("-B", "-X", f"pycache_prefix={folder / 'never-written'}"),
        ZIP: eager.command("-B", "-X", prefix),
        COMPILED: eager.command(),
        **{what: sandbox.command() for what, sandbox in sandboxes.ours.items()},
        FIRST_REQUEST: sandboxes.ours["api"].command(event=_refused_request()),
    }


def _refused_request() -> object:
    """A submission without a goal: parsed and validated as any other, and answered without a call to AWS."""
    event = json.loads((ROOT / "events" / "api" / "submit.json").read_text(encoding="utf-8"))
    return {**event, "body": "{}", "isBase64Encoded": False}


def _describe(section: Section, sandboxes: Sandboxes) -> None:
    layers = (
        "the built layers of .build"
        if sandboxes.are_layers_built
        else "the virtual environment's packages (no built layers for this Python and architecture: `make synth`)"
    )
    section.say(
        f"CPU ms of the whole process, interpreter included; {ROUNDS} turns, median (p10-p90). Ours: code staged now,",
        f"with bytecode, and {layers};",
        "boto3 as the runtime's own. Eager: boto3, openai, Powertools (Logger, Tracer, Metrics), pydantic, one client.",
        f"PERF.md measured {EAGER_NO_PYC_MS:,} ms with nothing compiled (the stdlib neither) and {EAGER_PYC_MS:,} ms "
        "compiled, elsewhere.",
        "The bars are against 'nothing compiled', as PERF.md measures. On Lambda the stdlib has bytecode: the middle",
        "ratio is nearer to life.",
        "",
    )
    section.figures["layers_built"] = sandboxes.are_layers_built


def _show(section: Section, times: dict[str, list[float]]) -> None:
    middle = {what: median(ms) for what, ms in times.items()}
    baselines = (PLAIN, ZIP, COMPILED)
    rows = [
        (what, spread(ms), *(f"{middle[what] / middle[base]:.2f}x" for base in baselines))
        for what, ms in times.items()
    ]
    section.table(("process", "CPU ms", *(f"/ {base}" for base in baselines)), rows)


def _show_costs(section: Section, what: str, sandbox: Sandbox) -> None:
    done = subprocess.run(
        sandbox.command("-X", "importtime"), env={}, capture_output=True, text=True, check=True
    )
    report: dict[str, Any] = json.loads(done.stdout)
    packages = by_package(import_times(done.stderr))
    total = sum(packages.values())
    top = [f"{name} {cost * 100 / total:.0f} %" for name, cost in packages.most_common(TOP)]
    section.say(
        "",
        f"{what}: import {report['import']:.0f} ms, wiring {report['wiring']:.0f} ms (with -X importtime on).",
        f"  Own time of imports: {', '.join(top)}.",
    )
    figures: dict[str, Figure] = {n: round(c / total, 3) for n, c in packages.most_common(TOP)}
    section.figures[f"costs of {what}"] = figures


def import_times(report: str) -> Iterable[tuple[str, int]]:
    """Each module with its own microseconds, from what `-X importtime` prints."""
    for line in report.splitlines():
        parts = line.removeprefix("import time:").split("|")
        if len(parts) == 3 and parts[0].strip().isdigit():
            yield parts[2].strip(), int(parts[0])


def by_package(modules: Iterable[tuple[str, int]]) -> Counter[str]:
    """Own time by top-level package; the standard library is one."""
    found: Counter[str] = Counter()
    for module, microseconds in modules:
        package = module.partition(".")[0]
        is_standard = package in sys.stdlib_module_names or package in ("zipimport", "site")
        found["standard library" if is_standard else package] += microseconds
    return found


def _ratios(middle: dict[str, float]) -> list[Ratio]:
    found = []
    for base, has_bar in ((PLAIN, True), (ZIP, False), (COMPILED, False)):
        found += [
            Ratio(
                f"cold start, {what}",
                middle[what],
                base,
                middle[base],
                "ms",
                bar if has_bar else None,
            )
            for what, bar in BARS.items()
        ]
    return found
