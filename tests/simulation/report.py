"""What a run of the explorers tells: a zero without this coverage does not count."""

from collections.abc import Iterator

from tests.simulation.explore import Figures
from tests.simulation.faults import KINDS

LETTERS = 3


def coverage(figures: Figures) -> float:
    """The share of (call site, kind of fault) that was met."""
    cells = [(site, kind.value) for site, kinds in KINDS.items() for kind in kinds]
    return round(sum(1 for cell in cells if figures.cells[cell]) / len(cells), 4)


def missing(figures: Figures) -> list[str]:
    """The cells that were never met."""
    return [
        f"{site} x {kind.value}"
        for site, kinds in KINDS.items()
        for kind in kinds
        if not figures.cells[site, kind.value]
    ]


def lines(figures: Figures) -> Iterator[str]:
    """The figures in words."""
    yield "faults injected, by call site and kind:"
    width = max(map(len, KINDS))
    for site, kinds in KINDS.items():
        cells = "  ".join(f"{k.value} {figures.cells[site, k.value]}" for k in kinds)
        yield f"  {site:<{width}}  {cells}"
    yield f"coverage of (call site x kind): {coverage(figures):.2%}"
    for cell in missing(figures):
        yield f"  never: {cell}"
    yield f"states (status/steps/generation) reached: {len(figures.states)}: {', '.join(sorted(figures.states))}"
    complete = figures.complete
    yield (
        f"two-fault plans, all of {len(complete)} stories and a sample of the others; of plans that come to the same "
        f"one is played, {figures.two_fault_plays} in all:"
    )
    for name, count in figures.pairs.items():
        tried = figures.two_fault_plans[name]
        told = f"complete: {count} plans" if name in complete else f"sample: {tried} of {count}"
        yield f"  {name:<{width}}  {told}"
    yield f"longest recovery: {figures.longest_recovery_ms / 1000:.0f} s of virtual time after the last fault"
