"""`ratchet dev` as a process of its own, to be ended as roughly as a test likes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cdk.bundling import ROOT
from tests.e2e.stage import STEP_TIMEOUT_SECONDS, Json
from tests.e2e.waiting import wait_until

CLOSES_WITHIN_SECONDS = 5
_FUNCTION = b"AWS_LAMBDA_FUNCTION_NAME="
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Dev:
    """A running `ratchet dev --json` and the line that it printed."""

    process: subprocess.Popen[str]
    ready: Json

    def children(self) -> set[int]:
        """Process ids of its workers."""
        return {pid for pid in living() if _parent(pid) == self.process.pid}

    def workers_of(self, *functions: str) -> set[int]:
        """Process ids of these functions' sandboxes."""
        return {pid for pid in self.children() if any(f in _function(pid) for f in functions)}

    def terminate(self) -> tuple[int, str]:
        """SIGTERM; its exit code, and what else it printed."""
        self.process.terminate()
        rest, _ = self.process.communicate(timeout=CLOSES_WITHIN_SECONDS)
        return self.process.returncode, rest

    def kill(self) -> None:
        """kill -9 of everything: the stack first, so that no worker's last words are heard."""
        workers = self.children()
        self.process.kill()
        kill(workers)
        self.process.wait()
        wait_until(lambda: not workers & living(), "the end of the workers")


@contextmanager
def dev(folder: Path, *options: str, env: Mapping[str, str] = _NOTHING) -> Iterator[Dev]:
    """Run `ratchet dev` in a folder that looks like a checkout, so that ours is not written to."""
    for name in ("cdk", "functions", "shared"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    command = ["-m", "ratchet.cli.main", "dev", "--port", "0", "--json", "--no-reload"]
    command += ["-c", f"step_timeout_seconds={STEP_TIMEOUT_SECONDS}", *options]
    own = {name: value for name, value in os.environ.items() if "OPENAI" not in name}
    with (
        (folder / "stages.log").open("a") as stages,
        subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env={**own, **env},
            stdout=subprocess.PIPE,
            stderr=stages,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            line = process.stdout.readline() if process.stdout else ""
            assert line, (folder / "stages.log").read_text()
            yield Dev(process, json.loads(line))
        finally:
            process.kill()


def kill(pids: set[int]) -> None:
    """kill -9; who has ended already is left alone."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def living() -> set[int]:
    """The processes that live; one that nobody has reaped yet does not."""
    found = {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()}
    return {pid for pid in found if _status(pid)[:1] not in ([], ["Z"])}


def _function(pid: int) -> str:
    """The function that a worker runs; empty if it has just ended, or begun."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    names = [entry for entry in environment if entry.startswith(_FUNCTION)]
    return names[0].removeprefix(_FUNCTION).decode() if names else ""


def _parent(pid: int) -> int:
    return int((_status(pid) or ["Z", "0"])[1])


def _status(pid: int) -> list[str]:
    """State, parent and so on; nothing if the process has just ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()
