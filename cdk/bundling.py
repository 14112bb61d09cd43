"""What Lambda runs, built without Docker under .build/: staged function code and dependency layers.

Own code goes into each function's zip, third-party code into layers. Both carry `.pyc` files:
Lambda's disk is read-only, so without them every cold start compiles what it imports. Bytecode
fits one minor version of Python, so the Lambda runtime follows the interpreter that builds.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cdk.requirements_closure import MACHINES, layer_lines
from ratchet.contracts.names import AGENTS_MANIFEST_FILE, MODELS_FILE, Json

ROOT = Path(__file__).resolve().parents[1]
FUNCTIONS = (
    "api",
    "authorizer",
    "dispatcher",
    "scheduler",
    "step_executor",
    "deliverer",
    "sweeper",
)
LAYERS = ("base", "llm", "webhooks")
AGENTS_IN = frozenset({"step_executor"})
MANIFEST_IN = frozenset({"api", "scheduler"})
MODELS_IN = frozenset({"api", "scheduler", "step_executor"})
NOT_SHIPPED = frozenset({"capacity", "cli", "local", "testing"})
RUNTIMES = range(11, 15)
LAYER_FORMAT = 2  # raise it when a change here must rebuild existing layers

# A process of its own: marshal's bytes depend on which strings the running interpreter shares.
COMPILE = """
import compileall, py_compile, sys
folder, runtime_folder = sys.argv[1:]
ok = compileall.compile_dir(folder, maxlevels=50, quiet=1, force=True, stripdir=folder, optimize=0,
    prependdir=runtime_folder, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
sys.exit(not ok)
"""


class BundlingError(RuntimeError):
    """A function or layer cannot be built; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What becomes Lambda assets: folders of functions, archives of layers."""

    python: str
    functions: Mapping[str, Path]
    layers: Mapping[str, Path]


def build_bundle(architecture: str, *, models: str, root: Path = ROOT) -> Bundle:
    """Build every layer that is out of date and stage every function; `models` as `models_document` writes it."""
    return Bundle(
        python=runtime_version(),
        layers={
            name: archive_of(build_layer(name, architecture=architecture, root=root))
            for name in LAYERS
        },
        functions=archive_functions(root=root, models=models),
    )


def runtime_version(version: tuple[int, ...] = sys.version_info[:2]) -> str:
    """The Lambda runtime's Python, which is the one that builds.

    Raises:
        BundlingError: Lambda has no runtime for this interpreter.
    """
    major, minor = version[:2]
    if major != 3 or minor not in RUNTIMES:
        raise BundlingError(
            f"Lambda has no runtime for Python {major}.{minor}; create .venv with one of "
            + ", ".join(f"3.{known}" for known in RUNTIMES)
        )
    return f"{major}.{minor}"


def archive_functions(*, root: Path = ROOT, models: str) -> dict[str, Path]:
    """The archives of what the functions carry, which are their assets.

    Raises:
        BundlingError: as `stage_functions` does.
    """
    package = _zip(_package(root))
    folder = root / ".build" / "archives"
    return {
        name: _zip(_replace(folder / name, _own_code(name, root=root, models=models)), package)
        for name in FUNCTIONS
    }


def stage_functions(
    names: Iterable[str] = FUNCTIONS, *, root: Path = ROOT, models: str | None = None
) -> dict[str, Path]:
    """The folders of what `functions/<name>` carry; their handlers have the names they have in tests.

    Without `models` those of a deployment with the default context go in.

    Raises:
        BundlingError: there is no such function, its code does not compile, or an agent names an embedding model
            that is none or has no price.
    """
    package = _package(root)

    def stage(name: str) -> Path:
        own_code = _own_code(name, root=root, models=models)

        def fill(target: Path) -> None:
            own_code(target)
            shutil.copytree(package, target, dirs_exist_ok=True)

        return _replace(root / ".build" / "functions" / name, fill)

    return {name: stage(name) for name in names}


def stage_function(name: str, *, root: Path = ROOT, models: str | None = None) -> Path:
    """As `stage_functions`, of one."""
    return stage_functions([name], root=root, models=models)[name]


def _package(root: Path) -> Path:
    """What every function carries: compiled, and packed, once for all."""

    def fill(target: Path) -> None:
        _copy(root / "shared" / "ratchet", target / "ratchet", without=NOT_SHIPPED)
        _compile(target, "/var/task")

    return _replace(root / ".build" / "package", fill)


def _own_code(name: str, *, root: Path, models: str | None) -> Callable[[Path], None]:
    """Fills a folder with what only this function, or only some, carry."""
    source = root / "functions" / name
    if not source.is_dir():
        raise BundlingError(f"{source} does not exist")

    def fill(target: Path) -> None:
        _copy(source, target / "functions" / name)
        shutil.copy(root / "functions" / "__init__.py", target / "functions")
        if name in AGENTS_IN:
            _copy(root / "shared" / "agents", target / "agents")
        if name in MANIFEST_IN:
            agents = _agents_manifest()
            _check_embeddings(agents, models or _default_models())
            manifest = json.dumps(agents, indent=1, sort_keys=True)
            (target / AGENTS_MANIFEST_FILE).write_text(manifest, encoding="utf-8")
        if name in MODELS_IN:
            document = _default_models() if models is None else models
            (target / MODELS_FILE).write_text(document, encoding="utf-8")
        _compile(target, "/var/task")

    return fill


def build_layer(layer: str, *, architecture: str = "arm64", root: Path = ROOT) -> Path:
    """The folder of one layer, installed and packed anew only when the lock, Python or architecture changed.

    Raises:
        BundlingError: pip could not install it.
    """
    lines = layer_lines(root, layer, architecture)
    target = root / ".build" / "layers" / architecture / layer
    stamp = target.with_name(f"{layer}.stamp")  # beside the folder, which is the asset
    wanted = _stamp([*lines, runtime_version(), architecture, str(LAYER_FORMAT)])
    if target.is_dir() and stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return target

    def fill(folder: Path) -> None:
        python = folder / "python"
        python.mkdir()
        if lines:
            _pip_install(lines, python, architecture, cache=root / ".build" / "pip-cache")
        _trim(python)
        _compile(python, "/opt/python")

    stamp.unlink(missing_ok=True)
    _zip(_replace(target, fill))
    stamp.write_text(wanted, encoding="utf-8")
    return target


def archive_of(folder: Path) -> Path:
    """A folder as one file, which is the asset: the CDK hashes and copies assets at every synth, file by file."""
    return folder.with_suffix(".zip")


def _zip(folder: Path, beginning: Path | None = None) -> Path:
    """The archive of a folder, after what another begins it with; the same content gives the same bytes."""
    archive = archive_of(folder)
    archive.unlink(missing_ok=True)
    if beginning is not None:
        shutil.copyfile(beginning, archive)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            info.external_attr = 0o644 << 16
            target.writestr(info, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return archive


def pip_platforms(architecture: str, python: str) -> list[str]:
    """Wheel platforms that load in the runtime: up to 3.11 it has glibc 2.26, from 3.12 on 2.34."""
    machine = MACHINES[architecture]
    modern = [] if python == "3.11" else [f"manylinux_2_28_{machine}"]
    return [*modern, f"manylinux_2_17_{machine}", f"manylinux2014_{machine}"]


def _pip_install(lines: Iterable[str], target: Path, architecture: str, *, cache: Path) -> None:
    requirements = target.with_name("requirements.txt")
    requirements.write_text("\n".join(lines) + "\n", encoding="utf-8")
    platforms = pip_platforms(architecture, runtime_version())
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-compile"]
    command += ["--disable-pip-version-check", "--require-hashes", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp"]
    command += ["--python-version", runtime_version(), "--cache-dir", str(cache)]
    command += [f"--platform={platform}" for platform in platforms]
    command += ["--target", str(target), "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BundlingError(
            "pip could not install a layer (the first build needs the package index):\n"
            + done.stderr[-2000:]
        )
    requirements.unlink()


def _trim(python: Path) -> None:
    shutil.rmtree(python / "bin", ignore_errors=True)  # scripts hold the builder's paths
    for folder in [*python.glob("*/tests"), *python.glob("*/test")]:
        shutil.rmtree(folder)
    for record in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
        for path in python.glob(f"*.dist-info/{record}"):
            path.unlink()


def _compile(folder: Path, runtime_folder: str) -> None:
    command = [sys.executable, "-I", "-S", "-c", COMPILE, str(folder), runtime_folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BundlingError(f"does not compile:\n{done.stdout}{done.stderr}")


def _agents_manifest() -> list[dict[str, Json]]:
    # Late, because only this needs the team's agents to be importable.
    from ratchet.app.agents import build_manifest  # noqa: PLC0415

    return build_manifest()


def _check_embeddings(agents: list[dict[str, Json]], models: str) -> None:
    from cdk.models import UnpricedEmbedding, check_embeddings  # noqa: PLC0415 - as _default_models

    try:
        check_embeddings(agents, models)
    except UnpricedEmbedding as exc:
        raise BundlingError(str(exc)) from exc


def _default_models() -> str:
    from cdk.deployment import Deployment  # noqa: PLC0415 - pydantic and YAML, where they are needed
    from cdk.models import models_document  # noqa: PLC0415

    default = Deployment()
    return models_document(ROOT / default.routing, ROOT / default.models)


def _copy(source: Path, target: Path, *, without: frozenset[str] = frozenset()) -> None:
    def ignored(folder: str, names: list[str]) -> set[str]:
        junk = {name for name in names if name == "__pycache__" or name.startswith(".")}
        return junk | (without & set(names) if Path(folder) == source else set())

    shutil.copytree(source, target, ignore=ignored)


def _replace(target: Path, fill: Callable[[Path], None]) -> Path:
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    fill(fresh)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return target


def _stamp(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
