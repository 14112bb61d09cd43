"""The project checkout around the current folder."""

from pathlib import Path

from ratchet.cli.errors import CliError

_MARKS = (Path("cdk") / "app.py", Path("functions"), Path("shared") / "agents")


def find_project(start: Path | None = None) -> Path | None:
    """The nearest folder, from here up, that holds cdk/, functions/ and shared/agents/."""
    here = start or Path.cwd()
    for folder in (here, *here.parents):
        if all((folder / mark).exists() for mark in _MARKS):
            return folder
    return None


def require_project(start: Path | None = None) -> Path:
    """The project checkout.

    Raises:
        CliError: this is not one.
    """
    found = find_project(start)
    if found is None:
        raise CliError(
            "this is not a Ratchet project",
            "Run the command in a checkout: a folder with cdk/, functions/ and shared/agents/.",
        )
    return found
