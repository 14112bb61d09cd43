"""One stack serves most tests. A process can run only one, so a test that needs its own closes it first."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ratchet.testing.receiver import WebhookReceiver
from tests.e2e.stage import Stage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = [n for n, i in enumerate(items) if i.path.is_relative_to(Path(__file__).parent)]
    # Those with a stack of their own come last: the shared one is started once.
    ordered = sorted([items[n] for n in places], key=_needs_own_stack)
    for place, item in zip(places, ordered, strict=True):
        item.add_marker(pytest.mark.e2e)
        items[place] = item


def _needs_own_stack(item: pytest.Item) -> bool:
    return "no_stage" in getattr(item, "fixturenames", ())


class SharedStage:
    """Started when first asked for, and again after it was closed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stage: Stage | None = None

    def get(self) -> Stage:
        """The running stage."""
        if self._stage is None:
            self._stage = Stage.start(self._folder)
        return self._stage

    def close(self) -> None:
        """Make room for another stack in this process."""
        stage, self._stage = self._stage, None
        if stage is not None:
            stage.close()


@pytest.fixture(scope="package")
def shared_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedStage]:
    shared = SharedStage(tmp_path_factory.mktemp("stage"))
    yield shared
    shared.close()


@pytest.fixture
def stage(shared_stage: SharedStage) -> Iterator[Stage]:
    """The shared stack; the model's faults end with the test."""
    stage = shared_stage.get()
    yield stage
    stage.models.clear_faults()


@pytest.fixture
def no_stage(shared_stage: SharedStage) -> None:
    """No stack runs in this process."""
    shared_stage.close()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver.start() as running:
        yield running
