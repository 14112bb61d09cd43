"""PERF.md's published figures, quoted: nothing here is measured in this run."""

from collections.abc import Mapping
from dataclasses import dataclass

CYCLES = (5, 25, 100)
EAGER_NO_PYC_MS = 3_639
EAGER_PYC_MS = 1_734


@dataclass(frozen=True, slots=True)
class Storage:
    """One row of PERF.md's storage table: figures at 5, 25 and 100 cycles, fresh process per step."""

    requests: tuple[int | None, ...]
    write_units: tuple[int | None, ...]
    read_units: tuple[int | None, ...]
    kilobytes_at_25: int


STORAGE: Mapping[str, Storage] = {
    "LangGraph + DynamoDBSaver": Storage(
        (103, 463, 1_813), (151, 1_748, 22_709), (41, 470, 5_821), 1_591
    ),
    "LangGraph, compression on": Storage(
        (103, 463, 1_813), (101, 778, 7_547), (34, 245, 2_096), 613
    ),
    "LangGraph, delta channels": Storage(
        (458, 7_238, None), (78, 338, None), (386, 6_926, None), 152
    ),
    "naive, each step": Storage((23, 103, 403), (93, 1_362, 19_231), (24, 347, 4_836), 1_367),
    "naive, once per cycle": Storage((13, 53, 203), (58, 723, 9_773), (13, 178, 2_434), 726),
    "probe: append": Storage((13, 53, 203), (13, 53, 203), (11, 166, 2_401), 49),
    "probe: append zlib (the mark)": Storage((13, 53, 203), (7, 27, 105), (8, 95, 1_302), 26),
}
SYSTEMS = tuple(name for name in STORAGE if not name.startswith("probe"))
"""The rows that are somebody's way of working; the probes are marks to beat."""

# Milliseconds of CPU per step at 25 cycles: one process, and state loaded anew before every step.
STEP_CPU: Mapping[str, tuple[float | None, float | None]] = {
    "bare loop": (0.005, None),
    "Celery + Redis": (0.5, 4.9),
    "append probe, boto3": (1.6, 3.6),  # PERF.md gives 3.4-3.8
    "naive, once per cycle": (1.8, 3.5),
    "naive, each step": (3.5, 6.6),
    "openai-agents + SQLite": (4.3, None),
    "AWS durable SDK": (4.1, 16.8),
    "pydantic-ai, one item": (9.4, None),
}
