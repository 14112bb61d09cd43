"""PNG plots of a simulation. The only module that loads matplotlib."""

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from ratchet.capacity.outcome import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE_INCHES = (9.0, 4.5)
TENANTS_SHOWN = 12
mpl.use("Agg")  # no display is needed to write a file


def write_plots(outcome: Outcome, folder: Path) -> list[Path]:
    """Write `queue_depth.png` and `start_delay.png`; the folder is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _saved(_queue_depth(outcome), folder / "queue_depth.png"),
        _saved(_start_delay(outcome), folder / "start_delay.png"),
    ]


def _axes(title: str, x: str, y: str) -> tuple[Figure, "Axes"]:
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def _queue_depth(outcome: Outcome) -> Figure:
    figure, axes = _axes("Backlog and limit", "seconds", "tasks waiting")
    seconds = [sample.second for sample in outcome.samples]
    axes.plot(seconds, [s.waiting for s in outcome.samples], label="waiting (left)", color="C0")
    right = axes.twinx()
    right.set_ylabel("tasks running")
    right.plot(seconds, [s.limit for s in outcome.samples], label="limit", color="C1")
    right.plot(seconds, [s.running for s in outcome.samples], label="running", color="C2")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _start_delay(outcome: Outcome) -> Figure:
    """How many of a tenant's tasks had started after so many seconds; the tenants with most tasks."""
    figure, axes = _axes("Start delay", "seconds from submission to first step", "share of tasks")
    by_size = sorted(outcome.delays, key=lambda tenant: -len(outcome.delays[tenant]))
    for tenant in by_size[:TENANTS_SHOWN]:
        delays = sorted(outcome.delays[tenant])
        shares = [(place + 1) / len(delays) for place in range(len(delays))]
        axes.step(delays, shares, where="post", label=tenant)
    axes.set_xscale("log")
    axes.legend(loc="lower right")
    return figure


def _saved(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=120, metadata={"Software": None})
    return path
