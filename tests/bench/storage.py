"""Section `storage`: requests, units and bytes of the standard task, beside the naive ways and PERF.md's rows."""

from collections.abc import Iterable, Sequence

from tests.bench.figures import Ratio, Section
from tests.bench.metering import Tally
from tests.bench.peers import CYCLES, STORAGE, SYSTEMS
from tests.bench.task_costs import BASELINES, MARK, checkpoints, item_sizes, ours, theirs, whole

NAME = "storage"
LINEAR = 1.1
HEADER = ("way", "requests 5/25/100", "write units", "read units", "KB written at 25")


def run() -> Section:
    """Run every way at every length."""
    section = Section(NAME)
    fresh = [ours(cycles, warm=False)[0] for cycles in CYCLES]
    warm = [ours(cycles, warm=True)[0] for cycles in CYCLES]
    ways = {
        "Ratchet: whole task, a fresh sandbox per step": [whole(p) for p in fresh],
        "Ratchet: whole task, one warm sandbox": [whole(p) for p in warm],
        "Ratchet: first item and steps only, fresh": [checkpoints(p) for p in fresh],
        **{f"here: {name}": [theirs(name, cycles) for cycles in CYCLES] for name in BASELINES},
    }
    section.say(
        "Policy react: one step a cycle, as PERF.md counts. Whole task: submission, status changes, two list indexes,",
        "the terminal transaction (billed twice) and the delivery log included; the baselines have none of these.",
        "Strong reads. 'here' was measured in this run on the same text, 'PERF.md' is quoted.",
        "",
    )
    section.table(HEADER, [*_measured(ways), *_quoted()])
    section.figures["ways"] = {name: _figures(tallies) for name, tallies in ways.items()}
    _plan_act(section)
    _step_items(section)
    section.ratios += [*_against_systems(ways), *_against_here(ways), *_bars(fresh, warm)]
    return section


def _plan_act(section: Section) -> None:
    phases, steps = ours(25, warm=False, policy="plan_act")
    tally = whole(phases)
    section.say(
        "",
        f"The default policy plan_act makes {steps} steps of the same 25 cycles (a plan, an end of acting, a final "
        f"answer): {tally.requests} requests, {tally.all_write_units} write units, {tally.read_units} read units.",
    )
    section.figures["plan_act at 25"] = {"steps": steps, **_figures([tally])}


def _step_items(section: Section) -> None:
    sizes = item_sizes(100)
    over = sum(size > 1024 for size in sizes)
    mean = sum(sizes) / len(sizes)
    section.say(
        f"A step's item has {mean:.0f} bytes on average ({min(sizes)}-{max(sizes)}); {over} of {len(sizes)} pass "
        "1,024 and cost a second write unit.",
    )
    section.figures["step items at 100"] = {"mean_bytes": mean, "over_one_unit": over}


def _measured(ways: dict[str, list[Tally]]) -> Iterable[Sequence[str]]:
    for name, tallies in ways.items():
        yield (
            name,
            _three([t.requests for t in tallies]),
            _three([t.all_write_units for t in tallies]),
            _three([t.read_units for t in tallies]),
            f"{tallies[1].bytes_written / 1000:,.0f}",
        )


def _quoted() -> Iterable[Sequence[str]]:
    for name, row in STORAGE.items():
        yield (
            f"PERF.md: {name}",
            _three(row.requests),
            _three(row.write_units),
            _three(row.read_units),
            f"{row.kilobytes_at_25:,}",
        )


def _three(values: Iterable[int | None]) -> str:
    return " / ".join("-" if value is None else f"{value:,}" for value in values)


def _figures(tallies: Sequence[Tally]) -> dict[str, list[int]]:
    return {
        "requests": [t.requests for t in tallies],
        "write_units": [t.all_write_units for t in tallies],
        "read_units": [t.read_units for t in tallies],
        "bytes_written": [t.bytes_written for t in tallies],
    }


def _against_systems(ways: dict[str, list[Tally]]) -> Iterable[Ratio]:
    fresh = ways["Ratchet: whole task, a fresh sandbox per step"]
    for place, cycles in enumerate(CYCLES):
        known = {name: STORAGE[name].write_units[place] for name in SYSTEMS}
        units = {name: units for name, units in known.items() if units is not None}
        best = min(units, key=lambda name: units[name])
        ours_units = fresh[place].all_write_units
        yield Ratio(
            f"write units, {cycles} cycles, whole task",
            ours_units,
            f"best system of PERF.md: {best}",
            units[best],
            "",
            bar=1.0,
        )
    kilobytes = min((STORAGE[name].kilobytes_at_25, name) for name in SYSTEMS)
    yield Ratio(
        "KB written, 25 cycles, whole task",
        fresh[1].bytes_written / 1000,
        f"best system of PERF.md: {kilobytes[1]}",
        kilobytes[0],
        "KB",
        bar=1.0,
    )


def _against_here(ways: dict[str, list[Tally]]) -> Iterable[Ratio]:
    fresh = ways["Ratchet: whole task, a fresh sandbox per step"]
    warm = ways["Ratchet: whole task, one warm sandbox"]
    steps = ways["Ratchet: first item and steps only, fresh"]
    each, mark = ways["here: naive, each step"], ways[f"here: {MARK}"]
    name = "naive, each step (here)"
    for what, mine, its in (
        ("requests", fresh[1].requests, each[1].requests),
        ("write units", fresh[1].all_write_units, each[1].all_write_units),
        ("read units, fresh", fresh[1].read_units, each[1].read_units),
        ("read units, warm", warm[1].read_units, each[1].read_units),
    ):
        yield Ratio(f"{what}, 25 cycles, whole task", mine, name, its, "", bar=1.0)
    for place, cycles in enumerate(CYCLES):
        yield Ratio(
            f"write units, {cycles} cycles, first item and steps",
            steps[place].all_write_units,
            f"{MARK} (here)",
            mark[place].all_write_units,
            "",
            bar=1.0,
        )


def _bars(fresh: list[dict[str, Tally]], warm: list[dict[str, Tally]]) -> Iterable[Ratio]:
    steps = [cycles + 1 for cycles in CYCLES]
    written = [phases["steps"].bytes_written for phases in fresh]
    early = (written[1] - written[0]) / (steps[1] - steps[0])
    late = (written[2] - written[1]) / (steps[2] - steps[1])
    bar = "the bar"
    yield Ratio("writes per step, warm", warm[1]["steps"].writes / steps[1], bar, 1, "", 1.0)
    yield Ratio("reads per step, fresh", fresh[1]["steps"].reads / steps[1], bar, 1, "", 1.0)
    yield Ratio("bytes per step, 25-100", late, "bytes per step, 5-25", early, "B", LINEAR)
