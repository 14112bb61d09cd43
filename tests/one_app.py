"""One process of the CDK app makes all templates that a process of pytest asks for: most of a synthesis is its start.

A template that it cannot make, `cdk.synth` makes as ever, in a process of its own: errors are those that users see.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from cdk import synth
from cdk.bundling import ROOT

_DONE = b"done\n"
_RunApp = Callable[[Mapping[str, object], Path], None]


class OneApp:
    """Stands for `cdk.synth`'s way to run the app."""

    def __init__(self, run_app: _RunApp) -> None:
        self._run_app = run_app
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, context: Mapping[str, object], out: Path) -> None:
        """Synthesize into an empty folder.

        Raises:
            SynthError: the app failed.
        """
        if not self._ask({"context": context, "outdir": str(out), "environment": {**os.environ}}):
            shutil.rmtree(out)
            out.mkdir()
            self._run_app(context, out)

    def end(self) -> None:
        """The process ends with its input."""
        if self._process is not None:
            self._process.communicate()

    def _ask(self, wanted: Mapping[str, object]) -> bool:
        if self._process is None:
            self._process = _start()
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        with suppress(BrokenPipeError):
            requests.write(json.dumps(wanted).encode() + b"\n")
            requests.flush()
        return answers.readline() == _DONE


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-O", "-m", "tests.one_app"],
        cwd=ROOT,
        env={**os.environ, **synth.node_settings()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def pytest_configure(config: pytest.Config) -> None:
    app = OneApp(synth._run_app)
    patch = pytest.MonkeyPatch()
    patch.setattr(synth, "_run_app", app)
    config.add_cleanup(patch.undo)
    config.add_cleanup(app.end)


def main() -> None:
    """Answer each line of the input with a template."""
    from aws_cdk import App  # noqa: PLC0415 - starts Node.js, which pytest does not need

    from cdk import app  # noqa: PLC0415

    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    for line in sys.stdin:
        wanted = json.loads(line)
        os.environ.clear()
        os.environ.update(wanted["environment"])
        vars(app)["App"] = partial(App, outdir=wanted["outdir"], context=wanted["context"])
        try:
            app.main()
        except (Exception, SystemExit):  # noqa: BLE001 - asked for again, it is told as ever
            answers.write(b"failed\n")
        else:
            answers.write(_DONE)


if __name__ == "__main__":
    main()
