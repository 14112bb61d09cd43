"""The suite in several processes at once (`pytest --numprocesses`): a file's tests stay together, a group's too."""

import pytest
from xdist.scheduler import LoadGroupScheduling


class Files(LoadGroupScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out files and groups, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        scope: str = super()._split_scope(nodeid)
        return scope.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Files:
    config.option.loadscopereorder = False
    return Files(config, log)
