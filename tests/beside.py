"""The long explorations begin when the tests do, in processes of their own, and are judged at the end.

They fill up what the rest of the suite leaves of the cores. The process of pytest that hands out the tests begins them;
the one that asks what was found waits until they have ended.
"""

import fcntl
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.simulation.explored import Explored

JUDGES = "tests/simulation/test_explored.py"
"""Whose tests ask what was found. They come last."""
_CODE = "import sys; from tests.simulation.explored import explore_to; explore_to(sys.argv[1])"


@dataclass(frozen=True, slots=True)
class Explorations:
    """What is done in a process group of its own, which leaves its result in this folder."""

    folder: Path

    def begin(self) -> subprocess.Popen[bytes]:
        """Explore from now on. The process alone has the folder's lock, as long as it lives."""
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return subprocess.Popen(
                [sys.executable, "-c", _CODE, str(self._file)],
                stdin=subprocess.PIPE,
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )

    def result(self) -> "Explored":
        """What was found, once all is explored."""
        with self._lock.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
        assert self._file.exists(), "the explorations failed: their traceback is above"
        found: Explored = pickle.loads(self._file.read_bytes())
        return found

    @property
    def _file(self) -> Path:
        return self.folder / "explored"

    @property
    def _lock(self) -> Path:
        return self.folder / "lock"


@dataclass(slots=True)
class Beside:
    """Begins the explorations once, if a test asks for them, and ends them with the session."""

    folder: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)
    process: subprocess.Popen[bytes] | None = None

    def begin_for(self, tests: Sequence[str]) -> None:
        """These tests are about to run."""
        if self.process is None and any(test.startswith(JUDGES) for test in tests):
            self.process = Explorations(Path(self.folder.name)).begin()

    def end(self) -> None:
        """Give up what is still running: a session that was cut short waits for nothing."""
        if self.process is not None:
            if self.process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()
        self.folder.cleanup()


_beside = pytest.StashKey[Beside]()
_folder = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        config.stash[_folder] = Path(config.workerinput["explorations"])
    else:
        config.stash[_beside] = Beside()
        config.stash[_folder] = Path(config.stash[_beside].folder.name)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A process that is handed tests learns where the result will be."""
    node.workerinput["explorations"] = str(node.config.stash[_folder])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """The tests are about to be handed out."""
    node.config.stash[_beside].begin_for(ids)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for the explorations comes last."""
    items.sort(key=lambda item: item.nodeid.startswith(JUDGES))


def pytest_collection_finish(session: pytest.Session) -> None:
    """All tests are about to run here."""
    config = session.config
    if _beside in config.stash and not config.option.collectonly:
        config.stash[_beside].begin_for([item.nodeid for item in session.items])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Nothing is left running."""
    if _beside in config.stash:
        config.stash[_beside].end()


@pytest.fixture(scope="session")
def explored(pytestconfig: pytest.Config) -> "Explored":
    """All that was explored."""
    return Explorations(pytestconfig.stash[_folder]).result()
