"""`make bench`: ratios and counts, side by side in one run."""

import argparse
import importlib
import json
import platform
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from ratchet.observability import logger
from tests.bench.figures import SUMMARY, Section, table

SECTIONS = ("cold-start", "bundle", "storage", "step-cpu", "aws-bill", "routing-replay")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the sections that were named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=" ".join(SECTIONS))
    parser.add_argument("--json", action="store_true", help="figures for programs")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.sections) - set(SECTIONS))
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are: {', '.join(SECTIONS)}")
    logger.setLevel("CRITICAL")
    talk = sys.stderr if options.json else sys.stdout
    wanted = options.sections or SECTIONS
    found = [_run(name, talk) for name in SECTIONS if name in wanted]
    sys.stdout.write(_as_json(found) if options.json else _summary(found))


def _run(name: str, talk: TextIO) -> Section:
    started = time.monotonic()
    section: Section = importlib.import_module(f"tests.bench.{name.replace('-', '_')}").run()
    took = time.monotonic() - started
    talk.write("\n".join(["", f"== {name} ({took:.0f} s)", "", *section.lines, ""]))
    talk.flush()
    return section


def _summary(found: Sequence[Section]) -> str:
    rows = [ratio.row() for section in found for ratio in section.ratios]
    barred = [ratio for section in found for ratio in section.ratios if ratio.bar is not None]
    met = sum(ratio.verdict == "met" for ratio in barred)
    lines = ["", "== summary: smaller is better", "", *table(SUMMARY, rows), ""]
    return "\n".join([*lines, f"{met} of {len(barred)} bars met.", ""])


def _as_json(found: Sequence[Section]) -> str:
    data = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "sections": {section.name: section.figures for section in found},
        "ratios": [ratio.to_json() for section in found for ratio in section.ratios],
    }
    return json.dumps(data, indent=1) + "\n"


if __name__ == "__main__":
    main()
