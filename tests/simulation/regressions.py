"""Plans that broke a promise once are kept, and replayed for ever. Seeds die when code changes; plans live longer."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.simulation.explore import Failure, as_json, play
from tests.simulation.faults import Fault, Place, plan_from_json
from tests.simulation.scenarios import SCENARIOS, random_story
from tests.simulation.story import Story

FOLDER = Path(__file__).parent / "regressions"


def keep(failure: Failure) -> Path:
    """Save a failure where the next run of the tests finds it."""
    text = json.dumps(as_json(failure), indent=2) + "\n"
    digest = hashlib.sha256(json.dumps(failure.plan).encode()).hexdigest()[:8]
    seed = "" if failure.seed is None else f"-{failure.seed}"
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{failure.story}{seed}-{digest}.json"
    path.write_text(text, encoding="utf-8")
    return path


def kept() -> list[Path]:
    """All saved failures."""
    return sorted(FOLDER.glob("*.json"))


def read(path: Path) -> tuple[Story, dict[Place, Fault]]:
    """A saved story and its faults."""
    data: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return _story(data), plan_from_json(data["plan"])


def replay(path: Path) -> list[str]:
    """Run a saved plan; what it violates now."""
    return play(*read(path)).ledger.violations


def _story(data: Mapping[str, Any]) -> Story:
    if data["seed"] is not None:
        return random_story(data["seed"])
    return next(story for story in SCENARIOS if story.name == data["story"])
