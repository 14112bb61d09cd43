"""Which sandbox runs which invocation: warm ones first, a global cap, reserved concurrency."""

import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock

from ratchet.local.functions.model import FunctionConfig, Throttled
from ratchet.local.functions.sandbox import Sandbox

QUEUE_TIMEOUT_SECONDS = 300.0
# Plain LRU lets two busy functions evict each other's sandboxes for ever (5x slower, measured):
# a sandbox goes to another function only when it has been idle for a while.
IDLE_BEFORE_RECYCLING_SECONDS = 2.0


@dataclass(slots=True)
class _Waiter:
    config: FunctionConfig
    granted: Event = field(default_factory=Event)
    sandbox: Sandbox | None = None


class SandboxPool:
    """Hands out sandboxes, at most ``limit`` at once plus the first one of each function."""

    def __init__(self, launch: Callable[[FunctionConfig], Sandbox], *, limit: int) -> None:
        self._launch = launch
        self._limit = limit
        self._lock = Lock()
        self._all: set[Sandbox] = set()
        self._idle: defaultdict[str, list[Sandbox]] = defaultdict(list)
        self._busy: defaultdict[str, int] = defaultdict(int)
        self._waiting: defaultdict[str, deque[_Waiter]] = defaultdict(deque)
        self._closed = False

    def acquire(self, config: FunctionConfig) -> Sandbox:
        """A sandbox for one invocation; waits for one when the pool is full.

        Raises:
            Throttled: the function is at its reserved concurrency or waited too long.
        """
        with self._lock:
            if not self._waiting[config.name] and (sandbox := self._take(config)):
                return sandbox
            waiter = _Waiter(config)
            self._waiting[config.name].append(waiter)
        self._wait(waiter)
        if waiter.sandbox is None:
            raise Throttled(config.name)
        return waiter.sandbox

    def release(self, sandbox: Sandbox) -> None:
        """Takes a sandbox back and passes it, or its place, to whoever waits."""
        name = sandbox.config.name
        with self._lock:
            self._busy[name] -= 1
            if sandbox.is_usable:
                self._idle[name].append(sandbox)
            else:
                self._drop(sandbox)
            self._serve_waiters(first=name)

    def retire(self, name: str) -> None:
        """Ends the function's idle sandboxes now and its busy ones after their invocation."""
        with self._lock:
            for sandbox in self._of(name):
                sandbox.is_stale = True
            for sandbox in self._idle.pop(name, []):
                self._drop(sandbox)

    def pids(self, name: str) -> list[int]:
        """Process ids of the function's live sandboxes."""
        with self._lock:
            return [sandbox.pid for sandbox in self._of(name) if sandbox.is_usable]

    def close(self, timeout: float) -> None:
        """Kills every sandbox and fails everyone who waits."""
        with self._lock:
            self._closed = True
            sandboxes = list(self._all)
            for sandbox in sandboxes:
                self._drop(sandbox)
            for waiters in self._waiting.values():
                for waiter in waiters:
                    waiter.granted.set()
                waiters.clear()
        deadline = time.monotonic() + timeout
        for sandbox in sandboxes:
            sandbox.wait_dead(max(0.0, deadline - time.monotonic()))

    def _wait(self, waiter: _Waiter) -> None:
        """Until the waiter is served or its time is over."""
        deadline = time.monotonic() + QUEUE_TIMEOUT_SECONDS
        while not waiter.granted.wait(IDLE_BEFORE_RECYCLING_SECONDS):
            with self._lock:
                # Nobody may give a sandbox back for minutes, while those of another function grow old enough to go.
                self._serve_waiters(first=waiter.config.name)
                if waiter.sandbox is None and time.monotonic() > deadline:
                    self._waiting[waiter.config.name].remove(waiter)
                    return

    def _of(self, name: str) -> list[Sandbox]:
        return [sandbox for sandbox in self._all if sandbox.config.name == name]

    def _take(self, config: FunctionConfig) -> Sandbox | None:
        name = config.name
        if self._closed or (config.reserved is not None and self._busy[name] >= config.reserved):
            raise Throttled(name)
        sandbox = self._warm(config) or self._cold(config)
        if sandbox is not None:
            self._busy[name] += 1
        return sandbox

    def _warm(self, config: FunctionConfig) -> Sandbox | None:
        idle = self._idle[config.name]
        for sandbox in reversed(idle.copy()):
            if not sandbox.is_usable:
                idle.remove(sandbox)
                self._drop(sandbox)
            elif sandbox.config == config:  # not one of another version
                idle.remove(sandbox)
                return sandbox
        return None

    def _cold(self, config: FunctionConfig) -> Sandbox | None:
        has_none = not self._of(config.name)
        if len(self._all) >= self._limit:
            self._recycle_one(any_age=has_none)
        if len(self._all) >= self._limit and not has_none:
            return None
        sandbox = self._launch(config)
        self._all.add(sandbox)
        return sandbox

    def _recycle_one(self, *, any_age: bool) -> None:
        newest = time.monotonic() - (0.0 if any_age else IDLE_BEFORE_RECYCLING_SECONDS)
        idle = [s for group in self._idle.values() for s in group if s.last_used <= newest]
        if idle:
            oldest = min(idle, key=lambda sandbox: sandbox.last_used)
            self._idle[oldest.config.name].remove(oldest)
            self._drop(oldest)

    def _drop(self, sandbox: Sandbox) -> None:
        self._all.discard(sandbox)
        sandbox.kill()

    def _serve_waiters(self, *, first: str) -> None:
        for name in [first, *(other for other in self._waiting if other != first)]:
            waiters = self._waiting[name]
            while waiters and (sandbox := self._take_for_waiter(waiters[0])):
                waiter = waiters.popleft()
                waiter.sandbox = sandbox
                waiter.granted.set()

    def _take_for_waiter(self, waiter: _Waiter) -> Sandbox | None:
        try:
            return self._take(waiter.config)
        except Throttled:
            return None
