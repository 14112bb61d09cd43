"""The one way from our code to the world: a call takes time, and may go wrong in every way that it can."""

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import NamedTuple, TypeVar

from ratchet.app.memories import DoneBefore
from ratchet.contracts.errors import RatchetError
from tests.simulation.faults import Fault, Injector
from tests.simulation.scheduler import Killed, Life, Scheduler

T = TypeVar("T")
Make = Callable[[], Exception]

STALL_MS = {
    "submit": 40_000,  # the caller has given up at 29 s
    "cancel": 40_000,
    "redeliver": 40_000,
    "resume": 40_000,
    "decide": 40_000,
    "fork": 40_000,
    "batch": 40_000,
    "forget": 40_000,
    "operate": 20_000,  # an operator's command is his own: he gives no other while it may still act
    "dispatcher": 200_000,  # longer than the queue's visibility timeout
    "deliverer": 400_000,
    "sweeper": 130_000,  # two more have run
    "step_executor": 200_000,  # shorter than its timeout: a zombie is a Lambda that its caller has lost
}
"""How long a stalled process stands still. Of step_executor, the product knows when an attempt must be dead, so it is
killed at its timeout, as on AWS. The others may outlive even theirs: nothing relies on their death."""
GIVE_UP_MS = 50_000
"""How long the state machine's client waits for a stalled Lambda."""


class Errors(NamedTuple):
    """What a port raises: when it was refused, and when it cannot know."""

    refused: Make
    unknown: Make


class Network:
    """Carries the calls of all processes."""

    def __init__(self, scheduler: Scheduler, injector: Injector, dice: Random | None) -> None:
        self.scheduler = scheduler
        self.injector = injector
        self.digest = 0
        self.passed: Callable[[str, str], None] = (
            _nobody_looks  # where a text is seen, and the text
        )
        self.passing: Callable[[str, str], None] = _nobody_looks  # what is done for which tenant
        self._dice = dice
        self._sites: dict[tuple[str, str], str] = {}

    def latency_ms(self) -> int:
        """How long a call takes; without dice, always the same."""
        if self._dice is None:
            return 10
        ms = int(self._dice.random() * 30) + 1
        return ms * 100 if self._dice.random() < 0.02 else ms

    def life(self) -> Life:
        """Of the process that runs now. Raises Killed in a dead one."""
        return self.scheduler.me().life

    def call(self, name: str, effect: Callable[[], T], errors: Errors) -> T:
        """One port call of the process that runs now."""
        life = self.life()
        key = (life.role, name)
        site = self._sites.get(key)
        if site is None:
            site = self._sites[key] = f"{life.role}:{name}"
        fault = self.fault(site)
        self.rest(life, self.latency_ms())
        if fault is None:
            return effect()
        return self._faulty(fault, life, effect, errors)

    def fault(self, site: str) -> Fault | None:
        """What goes wrong at this call; every call passes here."""
        now = self.scheduler.now_ms
        fault = self.injector.next(site, now_ms=now)
        self.digest = hash((self.digest, now, len(site), len(self.injector.injected))) & 0xFFFFFFFF
        return fault

    def _faulty(self, fault: Fault, life: Life, effect: Callable[[], T], errors: Errors) -> T:
        match fault:
            case Fault.REFUSED:
                raise errors.refused()
            case Fault.UNKNOWN:
                raise errors.unknown()
            case Fault.LOST:
                self._unheard(effect)
                raise errors.unknown()
            case Fault.DIED_BEFORE:
                self.die(life)
            case Fault.DIED_AFTER:
                self._unheard(effect)
                self.die(life)
            case Fault.STALLED:
                self.stall(life)
        return effect()

    def _unheard(self, effect: Callable[[], object]) -> None:
        """Done, and nobody hears the answer: not that it was refused, either."""
        with suppress(RatchetError, DoneBefore):
            effect()

    def stall(self, life: Life) -> None:
        """The process that runs now goes on when whoever waits for it has given up."""
        self.scheduler.at(GIVE_UP_MS, life.given_up.settle)
        self.rest(life, STALL_MS[life.role])

    def rest(self, life: Life, ms: int) -> None:
        """Let the process that runs now wait; it dies when its time is over before."""
        left = life.ends_at_ms - self.scheduler.now_ms
        if ms >= left:
            self.scheduler.sleep(max(left, 0))
            self.die(life)
        self.scheduler.sleep(ms)

    def die(self, life: Life) -> None:
        """The process that runs now is dead from here on."""
        life.is_dead = True
        raise Killed


def _nobody_looks(_place: str, _text: str) -> None: ...
