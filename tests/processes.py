"""The suite in several processes at once (`pytest --numprocesses`): what shares something dear runs in one of them."""

from functools import cache
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
TOGETHER = ("tests/contract/store/", "tests/infra/")
"""They share DynamoDB Local, and templates."""
ON_STAGE = "tests/e2e/"
OWN_STACK = "no_stage"
"""The fixture of tests that need a stack of their own; the others there share one."""


class Shares(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out files, or what shares something, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid.partition("::")[0])


@cache
def share_of(path: str) -> str:
    """What the tests of this file run together with: a folder, or the file alone."""
    if path.startswith(ON_STAGE) and OWN_STACK not in (ROOT / path).read_text(encoding="utf-8"):
        return ON_STAGE
    return next((folder for folder in TOGETHER if path.startswith(folder)), path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Shares:
    config.option.loadscopereorder = False
    return Shares(config, log)
