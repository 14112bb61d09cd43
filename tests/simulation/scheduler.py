"""Virtual time and coroutines: one runs at a time, and who is next is a pure function of the schedule."""

import heapq
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from greenlet import greenlet


class Killed(BaseException):
    """The process is dead: nothing in it may act any more, `finally` blocks included."""


NEVER_MS = 1 << 62


class Life:
    """What dies at once: a process with everything that it runs beside itself."""

    __slots__ = (
        "began_ms",
        "ends_at_ms",
        "given_up",
        "is_dead",
        "role",
        "skew_ms",
        "step",
        "subject",
        "version",
    )

    def __init__(self, role: str, *, skew_ms: int = 0, version: int = 1) -> None:
        self.role = role
        self.skew_ms = skew_ms
        self.version = version  # of the deployment whose code it runs
        self.is_dead = False
        self.began_ms = 0
        self.ends_at_ms = NEVER_MS  # when it is killed, whatever it does
        self.given_up = Future()  # set when whoever waits for it waits no longer
        self.step = 0  # of step_executor: the step that the attempt is at
        self.subject: object = None  # of step_executor: its task


class Future:
    """A value that comes once."""

    __slots__ = ("_waiters", "error", "is_set", "value")

    def __init__(self) -> None:
        self.is_set = False
        self.value: Any = None
        self.error: BaseException | None = None
        self._waiters: list[Callable[[], None]] = []

    def settle(self, value: Any = None, error: BaseException | None = None) -> None:
        """Set it, and wake who waits."""
        if self.is_set:
            return
        self.is_set, self.value, self.error = True, value, error
        for wake in self._waiters:
            wake()

    def on_settled(self, wake: Callable[[], None]) -> None:
        """Call back at the end (or at once)."""
        if self.is_set:
            wake()
        else:
            self._waiters.append(wake)


class Process:
    """A coroutine; `green` is what it runs on, from its first turn to its end."""

    __slots__ = ("body", "done", "green", "life")

    def __init__(self, body: Callable[[], Any], life: Life) -> None:
        self.body = body
        self.life = life
        self.done = Future()
        self.green: greenlet | None = None

    def run(self) -> None:
        """All of it."""
        try:
            value = self.body()
        except (Exception, Killed) as exc:  # noqa: BLE001 - whoever waits for it gets the error
            self.done.settle(error=_bare(exc))
        else:
            self.done.settle(value)
        self.body = _nothing


def _nothing() -> None:
    """What is left to do of a process that has ended."""


def _bare(error: BaseException) -> BaseException:
    """The error without its frames: they hold the world that it happened in, in circles."""
    at: BaseException | None = error
    while at is not None:
        at.__traceback__ = None
        at = at.__context__
    return error


class Scheduler:
    """Owns the time. Events at the same moment happen in the order in which they were planned."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.current: Process | None = None
        self.busy = 0
        self._hub = greenlet.getcurrent()
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self._until_ms = 0
        self._living: dict[Process, None] = {}

    def at(self, delay_ms: int, event: Callable[[], None]) -> None:
        """Plan an event."""
        self._sequence += 1
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._sequence, event))

    def spawn(self, body: Callable[[], Any], life: Life, *, delay_ms: int = 0) -> Process:
        """A new coroutine of that life."""
        process = Process(body, life)
        self.busy += 1
        self._living[process] = None
        self.at(delay_ms, partial(self._resume, process))
        return process

    def drive(self, waits: Iterator[Future | int]) -> None:
        """Run what makes no calls and never dies: it yields each future that it waits for, or how many ms."""
        self.busy += 1

        def go_on() -> None:
            awaited = next(waits, None)
            if awaited is None:
                self.busy -= 1
            elif isinstance(awaited, int):
                self.at(awaited, go_on)
            else:
                awaited.on_settled(partial(self.at, 0, go_on))

        self.at(0, go_on)

    def sleep(self, ms: int) -> None:
        """Let the others run for so long."""
        me = self.me()
        wakes_at_ms = self.now_ms + ms
        if wakes_at_ms <= self._until_ms and not (self._heap and self._heap[0][0] <= wakes_at_ms):
            self.now_ms = wakes_at_ms  # nobody's turn comes before: the same, without a switch
            return
        self.at(ms, partial(self._resume, me))
        self._yield(me)

    def wait(self, future: Future, *, timeout_ms: int | None = None) -> bool:
        """Wait until it is set; False when the time is up before."""
        if future.is_set:
            return True
        me = self.me()
        wake: Callable[[], None] = partial(self._resume, me)
        if timeout_ms is not None:
            wake = _once(wake)
            self.at(timeout_ms, wake)
        future.on_settled(partial(self.at, 0, wake))
        self._yield(me)
        return future.is_set

    def me(self) -> Process:
        """The coroutine that runs now. Raises Killed in a dead one."""
        if self.current is None:
            raise RuntimeError("only a process may wait")
        if self.current.life.is_dead:
            raise Killed
        return self.current

    def run(self, *, until_ms: int, is_over: Callable[[], bool]) -> None:
        """Go on from event to event. `is_over` is asked whenever nothing runs."""
        heap, self._until_ms = self._heap, until_ms
        while heap and not (self.busy == 0 and is_over()):
            if heap[0][0] > until_ms:
                self.now_ms = until_ms
                break
            self.now_ms, _, event = heapq.heappop(heap)
            event()

    def close(self) -> None:
        """Kill what is left, so that nothing of this world runs in the next."""
        self._heap.clear()
        for process in list(self._living):
            process.life.is_dead = True
            if process.green is not None:
                self.current = process
                process.green.throw(Killed)
        self._living.clear()
        self.current = None

    def _yield(self, me: Process) -> None:
        self._hub.switch()
        if me.life.is_dead:
            raise Killed

    def _resume(self, process: Process) -> None:
        before, self.current = self.current, process
        if process.green is None:
            process.green = _IDLE.pop() if _IDLE else greenlet(_work, self._hub)
            process.green.switch(process)
        else:
            process.green.switch()
        self.current = before
        if process.done.is_set and process in self._living:
            del self._living[process]
            self.busy -= 1


def _once(wake: Callable[[], None]) -> Callable[[], None]:
    """What wakes a process that is woken by whatever comes first."""
    is_awake = False

    def wake_once() -> None:
        nonlocal is_awake
        if not is_awake:
            is_awake = True
            wake()

    return wake_once


_IDLE: list[greenlet] = []
"""Their processes have ended, whichever world's they were: a new one, with its stack, costs more than most that run."""


def _work(process: Process | None) -> None:
    """Run one process after another."""
    me = greenlet.getcurrent()
    while process is not None:
        process.run()
        process = None  # so that its world is not kept
        _IDLE.append(me)
        process = me.parent.switch()
