"""EventBridge: the sweeper's schedule, and the best-effort word that an execution has ended."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.simulation.calls import Network
from tests.simulation.faults import Fault
from tests.simulation.lambdas import Lambdas
from tests.simulation.orchestrator import Execution
from tests.simulation.scheduler import Future
from tests.simulation.table import Index

MINUTE_MS = 60_000
TRIES = 3
START_MS = 1_767_225_600_000


class Events:
    """Ticks and deaths; `coming` counts what is on its way."""

    def __init__(
        self,
        network: Network,
        lambdas: Lambdas,
        index: Index,
        *,
        is_idle: Callable[[], bool],
        is_waited: Callable[[], bool],
        next_visit_ms: Callable[[], int | None],
        skew_ms: int,
    ) -> None:
        self.coming = 0
        self.may_skip = True  # minutes in which nothing is due; not when somebody may still come
        self._network = network
        self._scheduler = network.scheduler
        self._lambdas = lambdas
        self._index = index
        self._is_idle = is_idle
        self._is_waited = is_waited  # by tasks in line, for whom the sweeper looks every minute
        self._next_visit_ms = next_visit_ms
        self._skew_ms = skew_ms  # the most that a sweeper's clock is wrong

    def begin(self) -> None:
        """The schedule starts at some second of the first minute."""
        self._scheduler.at(MINUTE_MS, self._tick)

    def execution_ended(self, execution: Execution) -> None:
        """An execution has ended without success."""
        detail = {"input": json.dumps(execution.input), "name": execution.name}
        self._send("events:execution_ended", {"source": "aws.states", "detail": detail})

    def _tick(self) -> None:
        """A sweep that would find nothing does nothing, so it is left out."""
        now = self._scheduler.now_ms + START_MS
        due = [d.due_at_ms for d in self._index.shown().values()]
        is_waited = self._is_waited()
        skew_ms = self._lambdas.skew_of_next_ms("sweeper")
        if skew_ms is None:
            skew_ms = self._skew_ms
        if is_waited or any(at <= now + skew_ms for at in due):
            self._send("events:schedule", {"source": "aws.events"})
        wait = MINUTE_MS
        is_quiet = self._is_idle() and not self.coming and not is_waited
        if self.may_skip and is_quiet and self._index.is_settled and due:
            visit = self._next_visit_ms()
            early = min(due) - skew_ms - now
            early = early if visit is None else min(early, visit - self._scheduler.now_ms)
            wait = max(MINUTE_MS, early // MINUTE_MS * MINUTE_MS)
        self._scheduler.at(wait, self._tick)

    def _send(self, site: str, event: dict[str, Any]) -> None:
        match self._network.fault(site):
            case Fault.LOST:
                return
            case Fault.DUPLICATED:
                self._plan(event, 1)
                self._plan(event, 2_000)
            case Fault.DELAYED:
                self._plan(event, 90_000)
            case _:
                self._plan(event, 1)

    def _plan(self, event: dict[str, Any], delay_ms: int) -> None:
        self.coming += 1

        def arrive() -> None:
            self.coming -= 1
            self._scheduler.drive(self._invoke(event))

        self._scheduler.at(delay_ms, arrive)

    def _invoke(self, event: dict[str, Any]) -> Iterator[Future | int]:
        for tries in range(1, TRIES + 1):
            done = self._lambdas.invoke("sweeper", event).done
            yield done
            if done.error is None:
                return
            yield tries * MINUTE_MS
