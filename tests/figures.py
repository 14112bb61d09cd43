"""What tests have counted: how many cases, from which seed. These are results, and printed at the end of the run."""

from collections.abc import Callable
from typing import Any

import pytest

Tell = Callable[[str], None]
_told = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def tell(pytestconfig: pytest.Config) -> Tell:
    """Have a figure printed, whether or not the test passes."""
    return pytestconfig.stash[_told].append


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_told] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several processes hands over what it was told."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = session.config.stash[_told]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """And the one that prints takes it."""
    node.config.stash[_told] += getattr(node, "workeroutput", {}).get("figures", [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print them."""
    told = config.stash[_told]
    if told:
        terminalreporter.section("figures")
        for line in sorted(told):
            terminalreporter.write_line(line)
