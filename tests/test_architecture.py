"""The import rules and size rules of the code base, checked from the source itself."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RATCHET = ROOT / "shared" / "ratchet"

INNER = ("ratchet.contracts",)
ALLOWED = {
    "shared/ratchet/contracts": INNER,
    "shared/ratchet/domain": (*INNER, "ratchet.domain"),
    "shared/ratchet/ports.py": (
        *INNER,
        "ratchet.domain",
        "ratchet.usage_ledger",
        "ratchet.delivery_log",
        "ratchet.task_list",
    ),
    "shared/ratchet/task_list.py": (*INNER, "ratchet.domain"),
    "shared/ratchet/delivery_log.py": (*INNER, "ratchet.domain"),
    "shared/ratchet/model_ports.py": (*INNER, "ratchet.domain"),
    "shared/ratchet/usage_ledger.py": (*INNER, "ratchet.domain"),
    "shared/ratchet/admission_ports.py": (*INNER, "ratchet.domain"),
    "shared/ratchet/budget_ports.py": (*INNER, "ratchet.domain"),
    "shared/ratchet/tenancy_ports.py": (*INNER, "ratchet.domain"),
    "shared/ratchet/memory_ports.py": (*INNER, "ratchet.domain"),
    "shared/ratchet/session_ports.py": (
        *INNER,
        "ratchet.domain",
        "ratchet.ports",
        "ratchet.task_list",
    ),
    "shared/ratchet/batch_ports.py": (
        *INNER,
        "ratchet.domain",
        "ratchet.ports",
        "ratchet.task_list",
    ),
    "shared/ratchet/schedule_ports.py": (*INNER, "ratchet.domain", "ratchet.ports"),
    "shared/ratchet/tracing_ports.py": (*INNER, "ratchet.domain"),
    "shared/ratchet/unexpected.py": INNER,
    "shared/ratchet/log_format.py": (*INNER, "ratchet.unexpected"),
    "shared/ratchet/observability.py": (*INNER, "ratchet.domain", "ratchet.log_format"),
    "shared/ratchet/app": (
        *INNER,
        "ratchet.domain",
        "ratchet.ports",
        "ratchet.delivery_log",
        "ratchet.task_list",
        "ratchet.batch_ports",
        "ratchet.model_ports",
        "ratchet.admission_ports",
        "ratchet.budget_ports",
        "ratchet.tenancy_ports",
        "ratchet.session_ports",
        "ratchet.memory_ports",
        "ratchet.schedule_ports",
        "ratchet.observability",
        "ratchet.tracing_ports",
        "ratchet.app",
    ),
    "shared/ratchet/adapters": (
        *INNER,
        "ratchet.domain",
        "ratchet.ports",
        "ratchet.delivery_log",
        "ratchet.task_list",
        "ratchet.batch_ports",
        "ratchet.model_ports",
        "ratchet.session_ports",
        "ratchet.tracing_ports",
        "ratchet.memory_ports",
        "ratchet.schedule_ports",
        "ratchet.adapters",
    ),
    "shared/ratchet/submitting.py": (
        *INNER,
        "ratchet.domain",
        "ratchet.ports",
        "ratchet.session_ports",
        "ratchet.app",
        "ratchet.adapters",
    ),
    "cdk": ("ratchet.contracts", "cdk"),
}
# One exception each, with its reason.
EXCEPTIONS = {
    # The manifest of the team's agents is built from their code when the bundle is staged.
    ("cdk", "ratchet.app.agents"),
}
RUNTIME = ("ratchet.testing", "ratchet.local", "ratchet.cli", "ratchet.capacity", "cdk")
AWS_SDKS = ("boto3", "botocore", "openai")


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def python_files(*folders: str) -> list[Path]:
    found = [p for folder in folders for p in sorted((ROOT / folder).rglob("*.py"))]
    return [p for p in found if "__pycache__" not in p.parts]


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == p or module.startswith(f"{p}.") for p in packages)


@pytest.mark.parametrize("room", ALLOWED)
def test_arrows_point_inward(room: str) -> None:
    place = ROOT / room
    files = [place] if place.suffix else python_files(room)
    assert files
    offenders = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in imports_of(path)
        if within(module, ("ratchet", "functions", "cdk", "agents", "tests"))
        and not within(module, ALLOWED[room])
        and (room, module) not in EXCEPTIONS
    ]
    assert offenders == []


def test_functions_import_neither_each_other_nor_development_code() -> None:
    offenders = []
    for path in python_files("functions"):
        own = f"functions.{path.relative_to(ROOT / 'functions').parts[0]}"
        for module in imports_of(path):
            foreign = within(module, ("functions",)) and not within(module, (own,))
            if foreign or within(module, RUNTIME):
                offenders.append(f"{path.relative_to(ROOT)} imports {module}")
    assert offenders == []


def test_runtime_code_never_imports_development_code() -> None:
    runtime = ("contracts", "domain", "app", "adapters")
    files = python_files(*(f"shared/ratchet/{room}" for room in runtime))
    offenders = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in [
            *files,
            RATCHET / "ports.py",
            RATCHET / "model_ports.py",
            RATCHET / "observability.py",
        ]
        for module in imports_of(path)
        if within(module, (*RUNTIME, "functions"))
    ]
    assert offenders == []


def test_only_adapters_know_the_sdks() -> None:
    rooms = ("contracts", "domain", "app")
    files = python_files(*(f"shared/ratchet/{room}" for room in rooms), "functions")
    offenders = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in imports_of(path)
        if within(module, AWS_SDKS)
    ]
    assert offenders == []


def test_only_settings_read_the_environment() -> None:
    files = python_files(
        "functions", *(f"shared/ratchet/{r}" for r in ("domain", "app", "adapters"))
    )
    offenders = [
        str(path.relative_to(ROOT))
        for path in files
        if "os.environ" in path.read_text(encoding="utf-8")
        or "getenv" in path.read_text(encoding="utf-8")
    ]
    assert offenders == []


def test_the_types_of_the_cdk_modules_in_use_are_checked() -> None:
    """mypy leaves out the other services': see pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (listed,) = (
        set(override["module"])
        for override in project["tool"]["mypy"]["overrides"]
        if override.get("follow_imports") == "normal"
    )
    imports = [
        node
        for path in python_files("cdk", "tests")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aws_cdk")
    ]
    used = {node.module for node in imports} | {
        f"aws_cdk.{alias.name}" for node in imports for alias in node.names if alias.name.islower()
    }
    assert listed == used | {"aws_cdk.interfaces.*"}


def test_files_and_functions_fit_a_glance() -> None:
    offenders = []
    for path in python_files("shared", "functions", "cdk"):
        source = path.read_text(encoding="utf-8")
        if source.count("\n") > 400:
            offenders.append(f"{path.relative_to(ROOT)}: {source.count(chr(10))} lines")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                if body and (body[-1].end_lineno or 0) - body[0].lineno + 1 > 50:
                    offenders.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert offenders == []


def test_no_file_is_a_grab_bag() -> None:
    names = {"utils.py", "helpers.py", "common.py", "misc.py"}
    found = python_files("shared", "functions", "cdk")
    assert [str(p) for p in found if p.name in names] == []


def test_handlers_translate_and_do_not_decide() -> None:
    handlers = sorted((ROOT / "functions").glob("*/handler.py"))
    assert len(handlers) >= 5
    long = [p for p in handlers if p.read_text(encoding="utf-8").count("\n") > 80]
    assert long == []


# What a cold start pays for: the heavy packages that each handler may load.
MAY_LOAD = {
    "api": {"botocore", "pydantic"},
    "authorizer": {"botocore"},
    "deliverer": {"botocore"},
    "dispatcher": {"botocore"},
    "scheduler": {"botocore", "pydantic"},
    "sweeper": {"botocore"},
    "step_executor": {"botocore", "openai", "pydantic"},
}
HEAVY = (
    *("boto3", "botocore", "openai", "pydantic", "aws_xray_sdk", "standardwebhooks", "yaml"),
    # Prices are settled when the bundle is built; who prices reads the result.
    *("genai_prices", "ratchet.contracts.price_list"),
)


@pytest.mark.parametrize("function", MAY_LOAD)
def test_importing_a_handler_loads_only_what_it_may(function: str) -> None:
    code = (
        f"import sys, functions.{function}.handler\n"
        f"print(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= MAY_LOAD[function]
