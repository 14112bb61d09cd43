"""What the suite need not do over and over."""

import gc
from typing import Any

import pytest
from botocore.loaders import Loader

NEW_OBJECTS = 20_000
"""The collector of cycles looks through so many more containers than before; Python's own figure is 700."""
ROUNDS = 20
"""After so many looks, it looks again through those that outlived them."""


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """All modules are imported: cycles are looked for from now on, and not among them."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(NEW_OBJECTS, ROUNDS, ROUNDS)


def pytest_configure(config: pytest.Config) -> None:
    """Each test that forgets its AWS clients would read the models of their services anew: megabytes of JSON."""
    read: dict[Any, Any] = {}
    make = Loader.__init__

    def make_with_what_was_read(self: Loader, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self.__dict__["_cache"] = read

    patch = pytest.MonkeyPatch()
    patch.setattr(Loader, "__init__", make_with_what_was_read)
    config.add_cleanup(patch.undo)
