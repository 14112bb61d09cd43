"""Our Lambda handlers' own code, with the use cases of a simulated sandbox in place of those on AWS."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from types import ModuleType
from typing import Any
from unittest.mock import patch

from functions.deliverer import handler as deliverer
from functions.dispatcher import handler as dispatcher
from functions.step_executor import handler as step_executor
from functions.sweeper import handler as sweeper
from ratchet.app import (
    announce_task,
    cancel_task,
    decision_log,
    dispatch_task,
    step_waits,
    suspensions,
    tool_runner,
)
from ratchet.domain import keys
from ratchet.observability import logger
from tests.simulation.calls import Network
from tests.simulation.memory import remembering
from tests.simulation.tenancy import CACHE_SECONDS

MODULES: dict[str, tuple[ModuleType, str]] = {
    "deliverer": (deliverer, "announce_task"),
    "dispatcher": (dispatcher, "dispatch_task"),
    "step_executor": (step_executor, "execute_step"),
    "sweeper": (sweeper, "sweep_tasks"),
}
_HANDLERS = {
    role: module.lambda_handler.__wrapped__  # without the logger's decorator, which costs time
    for role, (module, _) in MODULES.items()
}


class Context:
    """What a handler reads of its invocation."""

    def __init__(self, remaining_ms: Callable[[], float]) -> None:
        self._remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> float:
        return self._remaining_ms()


def handle(role: str, use_case: Callable[..., Any], event: dict[str, Any], context: Context) -> Any:
    """Run the function's own handler."""
    module, name = MODULES[role]
    setattr(
        module, name, lambda: use_case
    )  # read before the handler's first call, so never by another
    return _HANDLERS[role](event, context)


class Beside:
    """The ThreadPoolExecutor of a simulated process: its threads are coroutines that die with it."""

    network: Network

    def __init__(self, _workers: int) -> None: ...

    def __enter__(self) -> "Beside":
        return self

    def __exit__(self, *_: object) -> None: ...

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Run all beside each other; the first error is raised when all have ended."""
        scheduler = self.network.scheduler
        life = scheduler.me().life
        runs = [scheduler.spawn(partial(function, item), life) for item in items]
        for run in runs:
            scheduler.wait(run.done)
        for run in runs:
            if run.done.error is not None:
                raise run.done.error
        return iter([run.done.value for run in runs])


@contextmanager
def installed(*, is_quiet: bool = True) -> Iterator[None]:
    """Our code with coroutines for threads, a codec that remembers what it has read, and logs that only the world sees.

    Without `is_quiet` the logs are written as they are on AWS, which takes more time than all the rest.
    """
    kept = {(module, name): getattr(module, name) for module, name in MODULES.values()}
    with (
        ExitStack() as stack,
        patch.object(tool_runner, "ThreadPoolExecutor", Beside),
        remembering(),
        patch.object(keys, "task_key", lru_cache(maxsize=4096)(keys.task_key)),
        patch.object(keys, "usage_partitions", lru_cache(maxsize=64)(keys.usage_partitions)),
        patch.object(keys, "DUE_SHARDS", 2),  # fewer calls for the same code
        patch.object(suspensions, "SUSPENSION_CACHE_SECONDS", CACHE_SECONDS),
        patch.object(step_waits, "WAITS_PER_EXECUTION", 3),
        patch.object(sweeper, "sweep_metrics", _silent),
        patch.object(announce_task, "delivery_given_up", _silent),
        patch.object(announce_task, "delivery_failed", _silent),
        patch.object(dispatch_task, "task_started", _silent),
        patch.object(decision_log, "interrupts_closed", _silent),
        patch.object(cancel_task, "interrupts_closed", _silent),
    ):
        for name, heard in _LEVELS.items() if is_quiet else ():
            stack.enter_context(patch.object(logger, name, heard))
        try:
            yield
        finally:
            for (module, name), original in kept.items():
                setattr(module, name, original)


def _silent(*_: object, **__: object) -> None: ...


def _heard(message: object, *_: object, extra: object = None, **__: object) -> None:
    Beside.network.passed("a log record", f"{message} {extra}")


def _heard_with_error(message: object, *_: object, extra: object = None, **__: object) -> None:
    Beside.network.passed("a log record", f"{message} {extra} {sys.exc_info()[1]!r}")


_LEVELS = {
    **dict.fromkeys(("debug", "info", "warning", "error"), _heard),
    "exception": _heard_with_error,
    "append_keys": _silent,  # ids for records that are not written
    "remove_keys": _silent,
}
