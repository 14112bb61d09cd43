"""new: writes a first agent and its test."""

import keyword
import re
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from ratchet.cli.errors import CliError
from ratchet.cli.output import write_document
from ratchet.cli.project import find_project

_NAME = re.compile(r"^[a-z][a-z0-9_-]{0,63}$")
_FOLDER = Path("shared/agents")
_TOOL = "count_words"
_AGENT = Template('''\
"""The $name agent."""

from pydantic import BaseModel, Field

from ratchet import Agent, Limits, tool


class ${class_name}Answer(BaseModel):
    """What the agent returns."""

    answer: str = Field(description="The answer, in plain words.")


@tool(effect="read")
def count_words(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


$module = Agent(
    name="$name",
    description="Say in one line what it is for.",
    instructions="You answer questions about texts. Count with the tool; never guess a number.",
    tools=[count_words],
    output=${class_name}Answer,
    limits=Limits(max_steps=20, max_cost_usd=0.25, deadline_seconds=600),
)
''')
_TEST = Template("""\
from $package.$module import $imports


def test_words_are_counted() -> None:
    assert count_words("three small words") == 3


def test_agent_offers_its_tools() -> None:
    assert list($module.toolbox) == ["count_words"]
""")


def new(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, _ and -.")],
    *,
    folder: Annotated[
        Path, typer.Option("--dir", help="The folder of the team's agents.")
    ] = _FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write a first agent and its test; nothing is overwritten."""
    module = _module_name(name)
    root = _root()
    files = {
        (root / folder if folder == _FOLDER else folder) / f"{module}.py": _AGENT,
        root / "tests/unit/agents" / f"test_{module}.py": _TEST,
    }
    _refuse_overwriting(files)
    words = {
        "name": name,
        "module": module,
        "imports": ", ".join(sorted([module, _TOOL])),
        "package": folder.name or "agents",
        "class_name": "".join(part.capitalize() for part in module.split("_")),
    }
    for path, template in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(template.substitute(words), encoding="utf-8")
    if as_json:
        write_document({"agent": name, "files": [str(path) for path in files]})
        return
    for path in files:
        print(f"wrote {path}")
    print(f'Try it:  ratchet dev, then  ratchet submit --agent {name} --watch "..."')


def _root() -> Path:
    """The project around this folder, where `ratchet dev` looks for agents; this folder if there is none."""
    found = find_project()
    return Path() if found in (None, Path.cwd()) else found


def _module_name(name: str) -> str:
    module = name.replace("-", "_")
    if not _NAME.match(name) or keyword.iskeyword(module) or module == _TOOL:
        raise CliError(
            f"{name!r} cannot name an agent",
            "Use lower-case letters, digits, _ and -, beginning with a letter, such as order-desk.",
        )
    return module


def _refuse_overwriting(files: dict[Path, Template]) -> None:
    taken = [str(path) for path in files if path.exists()]
    if taken:
        raise CliError(f"{' and '.join(taken)} exists already", "Choose another name.")
