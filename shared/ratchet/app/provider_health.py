"""Which deployments work: each sandbox's own view, and what it tells the others."""

import threading
from dataclasses import replace

from ratchet.contracts.errors import StoreUnavailable
from ratchet.domain.circuit import PROBE_MS, Circuit, Health
from ratchet.model_ports import ProviderState
from ratchet.observability import logger
from ratchet.ports import Clock

_UNKNOWN = Health()


class HealthView:
    """While a deployment works, nothing is read and nothing is written."""

    def __init__(self, state: ProviderState, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._lock = threading.Lock()
        self._healths: dict[str, Health] = {}

    def circuit(self, name: str) -> Circuit:
        """Whether a call may go through. HALF_OPEN is said to one caller at a time, who then has to call."""
        health = self._health(name)
        circuit = health.circuit(self._clock.now_ms())
        if circuit is not Circuit.HALF_OPEN:
            return circuit
        probe_at = self._clock.now_ms() + PROBE_MS
        stands = self._share(name, probe_at)
        if stands == probe_at:
            return Circuit.HALF_OPEN
        return Circuit.OPEN if stands else Circuit.CLOSED

    def answered(self, name: str) -> None:
        """The deployment gave an answer, if only a refusal."""
        health = self._health(name)
        if health.probe_at_ms:
            self._share(name, 0)
            logger.info("circuit closed", extra={"deployment": name})
        if health.failures:
            self._put(name, replace(self._health(name), failures=0))

    def failed(self, name: str) -> None:
        """The deployment gave no answer."""
        if self._health(name) == _UNKNOWN:
            self._learn(name)
            if self._health(name).probe_at_ms:
                return  # the others found out before, and one of them will probe
        health = self._health(name).failed()
        self._put(name, health)
        opens_at = health.opens_at(self._clock.now_ms())
        if opens_at is not None and opens_at == self._share(name, opens_at):
            logger.warning("circuit opened", extra={"deployment": name})

    def _learn(self, name: str) -> None:
        try:
            self._put(name, self._health(name).told(self._state.probe_at(name)))
        except StoreUnavailable:
            logger.warning("circuit could not be read", extra={"deployment": name})

    def _share(self, name: str, probe_at_ms: int) -> int:
        """Tell the others, unless they know better; what stands now."""
        health = self._health(name)
        try:
            stands = self._state.set_probe_at(name, probe_at_ms, seen=health.probe_at_ms)
        except StoreUnavailable:
            logger.warning("circuit could not be shared", extra={"deployment": name})
            stands = probe_at_ms
        self._put(name, self._health(name).told(stands))
        return stands

    def _health(self, name: str) -> Health:
        with self._lock:
            return self._healths.get(name, _UNKNOWN)

    def _put(self, name: str, health: Health) -> None:
        with self._lock:
            self._healths[name] = health
