"""What a section finds: lines for people, figures for programs, and ratios against named baselines."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Figure: TypeAlias = "str | float | bool | Mapping[str, Figure] | Sequence[Figure] | None"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours against a baseline; smaller is better. `bar` is the largest ratio that will do, None where none is set."""

    what: str
    ours: float
    baseline: str
    theirs: float
    unit: str
    bar: float | None = None

    @property
    def ratio(self) -> float:
        """Ours over theirs; infinite against nothing."""
        if self.theirs:
            return self.ours / self.theirs
        return float("inf") if self.ours else 1.0

    @property
    def verdict(self) -> str:
        """Whether the bar is met."""
        if self.bar is None:
            return ""
        return "met" if self.ratio <= self.bar else "MISSED"

    def row(self) -> tuple[str, ...]:
        """A line of the summary."""
        return (
            self.what,
            amount(self.ours, self.unit),
            self.baseline,
            amount(self.theirs, self.unit),
            f"{self.ratio:.2f}x" if self.ratio >= 0.01 else f"{self.ratio:.4f}x",
            "" if self.bar is None else f"<= {self.bar:.2f}x",
            self.verdict,
        )

    def to_json(self) -> Mapping[str, Figure]:
        """The same for programs."""
        return {
            "what": self.what,
            "ours": self.ours,
            "baseline": self.baseline,
            "theirs": self.theirs,
            "unit": self.unit,
            "ratio": round(self.ratio, 4),
            "bar": self.bar,
            "verdict": self.verdict or None,
        }


@dataclass(slots=True)
class Section:
    """One section's results."""

    name: str
    lines: list[str] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)
    ratios: list[Ratio] = field(default_factory=list)

    def say(self, *lines: str) -> None:
        """Add lines for people."""
        self.lines.extend(lines)

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Add a table for people."""
        self.say(*table(header, rows))


SUMMARY = ("what", "ours", "baseline", "figure", "ratio", "bar", "verdict")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell; numbers to the right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    ruled = [lines[0], ["-" * width for width in widths], *lines[1:]]
    return ["  ".join(map(_padded, line, widths)).rstrip() for line in ruled]


def _padded(cell: str, width: int) -> str:
    return cell.rjust(width) if cell[:1].isdigit() or cell[:1] == "$" else cell.ljust(width)


def amount(value: float, unit: str) -> str:
    """A figure with its unit, as precise as it deserves."""
    if unit == "$":
        return f"${value:.6f}"
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which so many percent of the values lie, interpolated between the two nearest.

    Raises:
        ValueError: there are no values, or `percent` is not between 0 and 100.
    """
    if not values or not 0 <= percent <= 100:
        raise ValueError(f"no percentile {percent} of {len(values)} values")
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return percentile(values, 50)


def interleaved(
    subjects: Mapping[str, Callable[[], float]], *, rounds: int
) -> dict[str, list[float]]:
    """Measure A B C, A B C, ...: what disturbs the machine for a while disturbs all of them."""
    found: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, measure in subjects.items():
            found[name].append(measure())
    return found


def spread(values: Sequence[float]) -> str:
    """`median (p10-p90)` of milliseconds."""
    low, middle, high = (percentile(values, p) for p in (10, 50, 90))
    digits = 0 if middle >= 20 else 2
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"
