import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ratchet.local.functions import pool as pools
from ratchet.local.functions.model import FunctionConfig, Throttled
from ratchet.local.functions.pool import SandboxPool


class Idler:
    """A sandbox without a process."""

    def __init__(self, config: FunctionConfig) -> None:
        self.config = config
        self.last_used = time.monotonic()
        self.is_usable = True

    def kill(self) -> None:
        self.is_usable = False

    def wait_dead(self, _timeout: float) -> bool:
        return True


def function(name: str) -> FunctionConfig:
    return FunctionConfig(name, f"arn:{name}", "handler", "python3.11", 3, 128, {}, Path())


def test_who_waits_gets_the_place_of_a_sandbox_that_has_long_been_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pools, "IDLE_BEFORE_RECYCLING_SECONDS", 0.05)
    launch: Any = Idler
    pool = SandboxPool(launch, limit=2)
    pool.release(idle := pool.acquire(function("api")))
    busy = pool.acquire(function("step"))
    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(pool.acquire, function("step")).result(timeout=5)
    assert busy.is_usable
    assert (idle.is_usable, second.config.name) == (False, "step")


def test_who_waits_for_too_long_is_throttled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "IDLE_BEFORE_RECYCLING_SECONDS", 0.01)
    monkeypatch.setattr(pools, "QUEUE_TIMEOUT_SECONDS", 0.05)
    launch: Any = Idler
    pool = SandboxPool(launch, limit=1)
    pool.acquire(function("step"))
    with pytest.raises(Throttled):
        pool.acquire(function("step"))
