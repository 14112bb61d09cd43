"""Lambda: sandboxes that stay warm, die, are replaced, and run on when nobody waits for them."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tests.simulation.calls import Network
from tests.simulation.machine_code import STEP_TIMEOUT_SECONDS
from tests.simulation.scheduler import Life, Process

Event = dict[str, Any]
Body = Callable[[Event], Any]
PEOPLE = ("submit", "cancel", "resume", "fork", "redeliver", "batch", "forget", "operate")


class Sandbox:
    """One warm process image: its code, what it remembers, and how wrong its clock is."""

    def __init__(self, body: Body, skew_ms: int, version: int) -> None:
        self.body = body
        self.skew_ms = skew_ms
        self.version = version


class Lambdas:
    """All functions. `make` builds the handler of a fresh sandbox, from a version of its code."""

    def __init__(
        self, network: Network, make: Callable[[str, int], Body], skew_ms: Callable[[], int]
    ) -> None:
        self._network = network
        self._make = make
        self._skew_ms = skew_ms
        self._idle: defaultdict[tuple[str, int], list[Sandbox]] = defaultdict(list)
        self.version = 1  # deployed last
        self.throttled_until_ms = 0
        self.watch: Callable[[Life], None] = _unwatched

    def upgrade(self) -> None:
        """New code: from now on it runs where no version is asked for; the versions before it stay."""
        self.version += 1

    def skew_of_next_ms(self, role: str) -> int | None:
        """How wrong the clock of the sandbox is that would be invoked now; None: it has yet to start."""
        idle = self._idle[role, self.version]
        return idle[-1].skew_ms if idle else None

    def invoke(
        self, role: str, event: Event, *, version: int | None = None, stillborn: bool = False
    ) -> Process:
        """Start an invocation; its `done` is what it answers. `stillborn`: the sandbox dies at once."""
        code = self.version if version is None else version
        idle = self._idle[role, code]
        sandbox = idle.pop() if idle else Sandbox(self._make(role, code), self._skew_ms(), code)
        life = Life(role, skew_ms=sandbox.skew_ms, version=code)
        life.is_dead = stillborn
        life.began_ms = self._network.scheduler.now_ms
        if role == "step_executor":
            life.ends_at_ms = self._network.scheduler.now_ms + STEP_TIMEOUT_SECONDS * 1000

        def body() -> Any:
            self._network.life()
            self.watch(life)
            answer = self._answer(sandbox, role, event)
            idle.append(sandbox)  # one that raised is replaced: sooner than on AWS
            return answer

        return self._network.scheduler.spawn(body, life)

    def _answer(self, sandbox: Sandbox, role: str, event: Event) -> Any:
        try:
            return sandbox.body(event)
        except Exception as exc:
            if (
                role not in PEOPLE
            ):  # the runtime logs what a handler raises; the API answers its caller
                self._network.passed(f"an error of {role}", str(exc))
            raise


def _unwatched(_: Life) -> None: ...
