"""Lambda: sandboxes that stay warm, die, are replaced, and run on when nobody waits for them."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tests.simulation.calls import Network
from tests.simulation.machine_code import STEP_TIMEOUT_SECONDS
from tests.simulation.scheduler import Life, Process

Event = dict[str, Any]
Body = Callable[[Event], Any]
PEOPLE = ("submit", "cancel", "resume", "fork")


class Sandbox:
    """One warm process image: what it remembers, and how wrong its clock is."""

    def __init__(self, body: Body, skew_ms: int) -> None:
        self.body = body
        self.skew_ms = skew_ms


class Lambdas:
    """All functions. `make` builds the handler of a fresh sandbox."""

    def __init__(
        self, network: Network, make: Callable[[str], Body], skew_ms: Callable[[], int]
    ) -> None:
        self._network = network
        self._make = make
        self._skew_ms = skew_ms
        self._idle: defaultdict[str, list[Sandbox]] = defaultdict(list)
        self.throttled_until_ms = 0
        self.watch: Callable[[Life], None] = _unwatched

    def upgrade(self) -> None:
        """New code: warm sandboxes are not used again."""
        self._idle.clear()

    def invoke(self, role: str, event: Event, *, stillborn: bool = False) -> Process:
        """Start an invocation; its `done` is what it answers. `stillborn`: the sandbox dies at once."""
        idle = self._idle[role]
        sandbox = idle.pop() if idle else Sandbox(self._make(role), self._skew_ms())
        life = Life(role, skew_ms=sandbox.skew_ms)
        life.is_dead = stillborn
        if role == "step_executor":
            life.ends_at_ms = self._network.scheduler.now_ms + STEP_TIMEOUT_SECONDS * 1000

        def body() -> Any:
            self._network.life()
            self.watch(life)
            answer = self._answer(sandbox, role, event)
            self._idle[role].append(sandbox)  # one that raised is replaced: sooner than on AWS
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
