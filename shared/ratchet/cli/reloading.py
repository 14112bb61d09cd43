"""Code changes reach a running stack: watch the folders, stage again, swap the functions' code."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from ratchet.cli.dev_stack import Say

if TYPE_CHECKING:
    from ratchet.local.stack import LocalStack

_CONSTRUCT_ID = re.compile(r"([A-Z][A-Za-z]*?)Function[0-9A-F]{8}")
_JOIN_SECONDS = 2.0
_NOT_SHIPPED = ("capacity", "cli", "local", "testing")
# A process of its own: this one has imported the agents, and would not see them change.
_STAGE = """
import json, pathlib, sys
from cdk.bundling import stage_functions
root = pathlib.Path(sys.argv[1])
staged = stage_functions(sys.argv[2:], root=root)
print(json.dumps({name: str(path) for name, path in staged.items()}))
"""


class Reloader:
    """A thread that keeps a local stack's functions up to date with the project's code."""

    def __init__(self, local: "LocalStack", project: Path, say: Say) -> None:
        self._local = local
        self._project = project
        self._say = say
        self._stop = Event()
        self._scratch = tempfile.TemporaryDirectory(prefix="ratchet-dev-")
        self._thread = Thread(target=self._run, name="reloader", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self) -> None:
        """Stop watching; a reload that is under way is finished."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)
        self._scratch.cleanup()

    def reload(self, changed: Iterable[Path]) -> None:
        """Stage and swap the functions that these files go into."""
        functions = self._functions()
        paths = sorted(changed)
        names = sorted(affected(paths, self._project, set(functions)))
        if not names:
            return
        cause = paths[0].relative_to(self._project)
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        done = subprocess.run(
            [sys.executable, "-c", _STAGE, self._new_root(), *names],
            cwd=self._project,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            self._say(f"not reloaded, the old code still runs ({cause}{more}): {reason}")
            return
        staged = json.loads(done.stdout)
        self._local.reload({functions[name]: Path(folder) for name, folder in staged.items()})
        self._say(f"reloaded {', '.join(names)} ({cause}{more})")

    def _new_root(self) -> str:
        """A view of the project to stage in: a `make synth` beside us must not swap running code."""
        root = Path(tempfile.mkdtemp(dir=self._scratch.name))
        for name in ("functions", "shared"):
            (root / name).symlink_to(self._project / name)
        return str(root)

    def _functions(self) -> dict[str, str]:
        """Deployed function by its folder in functions/."""
        found = {folder_of(name): name for name in self._local.function_names()}
        return {folder: name for folder, name in found.items() if folder}

    def _run(self) -> None:
        from watchfiles import watch  # noqa: PLC0415

        folders = [self._project / "shared", self._project / "functions"]
        for changes in watch(*folders, stop_event=self._stop, rust_timeout=500):
            try:
                self.reload({Path(path) for _, path in changes})
            except Exception as exc:  # noqa: BLE001 - a failed reload must not end the watching
                self._say(f"not reloaded: {exc!r}")


def affected(changed: Iterable[Path], project: Path, functions: set[str]) -> set[str]:
    """The functions whose code holds one of the changed files."""
    names: set[str] = set()
    for path in changed:
        match path.relative_to(project).parts:
            case ("functions", name, *_) if name in functions:
                names.add(name)
            case ("shared", "ratchet", part, *_) if part in _NOT_SHIPPED:
                continue
            case ("shared", "agents", *_):
                names |= functions & {"step_executor", "api"}
            case ("shared", *_):
                names |= functions
    return names


def folder_of(function_name: str) -> str | None:
    """`Ratchet-StepExecutorFunction2B55D581-9a3e` runs `functions/step_executor`: CDK keeps the id."""
    found = _CONSTRUCT_ID.search(function_name)
    return re.sub(r"(?<!^)(?=[A-Z])", "_", found.group(1)).lower() if found else None
