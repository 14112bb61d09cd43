"""The long explorations begin when the session does, in processes of their own, and are judged at its end.

The rest of the suite runs on one core and often waits; on two cores this takes some minutes off it.
"""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.simulation.explore import Figures
from tests.simulation.explored import Explored


@dataclass(slots=True)
class Beside:
    """The explorations in a process group of their own."""

    folder: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)
    process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Explore from now on."""
        code = (
            "import sys; from tests.simulation.explored import explore_to; explore_to(sys.argv[1])"
        )
        command = [sys.executable, "-c", code, str(self._file)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def result(self) -> Explored:
        """What was found, once all is explored."""
        assert self.process is not None
        assert self.process.wait() == 0, "the explorations failed: their traceback is above"
        found: Explored = pickle.loads(self._file.read_bytes())
        return found

    def end(self) -> None:
        """Give up what is still running: a session that was cut short waits for nothing."""
        if self.process is not None and self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        self.folder.cleanup()

    @property
    def _file(self) -> Path:
        return Path(self.folder.name) / "explored"


_beside = pytest.StashKey[Beside]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for the explorations comes last."""
    items.sort(key=_explores)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin, if a test wants it."""
    if not session.config.option.collectonly and any(map(_explores, session.items)):
        session.config.stash[_beside] = Beside()
        session.config.stash[_beside].begin()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nothing is left running."""
    beside = session.config.stash.get(_beside, None)
    if beside is not None:
        beside.end()


@pytest.fixture(scope="session")
def explored(request: pytest.FixtureRequest) -> Explored:
    """All that was explored."""
    return request.config.stash[_beside].result()


@pytest.fixture(scope="session")
def figures(explored: Explored) -> Figures:
    """Fault plans and random schedules."""
    return explored.plans


def _explores(item: pytest.Item) -> bool:
    return bool({"explored", "figures"} & set(getattr(item, "fixturenames", ())))
