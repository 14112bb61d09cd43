import gc
from collections.abc import Iterator

import pytest

from ratchet import cold_start


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_the_collector_rests_until_the_function_is_built_and_it_is_built_once() -> None:
    built: list[bool] = []

    @cold_start.once
    def factory() -> int:
        built.append(gc.isenabled())
        return 7

    cold_start.begin()
    assert [factory(), factory()] == [7, 7]
    assert built == [False]
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_a_start_that_fails_leaves_the_collector_on() -> None:
    @cold_start.once
    def factory() -> int:
        raise ValueError("a setting is missing")

    cold_start.begin()
    with pytest.raises(ValueError, match="setting"):
        factory()
    assert gc.isenabled()
