"""The circuit breaker of a deployment: what one sandbox knows of it, and what all share.

All that is shared is one time, `probe_at_ms`: 0 while the deployment works, else when somebody may try it again. It
is changed by compare-and-swap, so one sandbox at a time probes. A sandbox counts failures by itself; it reads what
the others know at the first failure of a row and writes only what changes, so a healthy deployment costs no request.

Powertools has a circuit breaker with DynamoDB. It is not used here: it reads the table for every circuit every few
seconds also while all is well, imports boto3 (0.2 s of a cold start), has a clock of its own, and runs one function
or a fallback, where a choice among several deployments is wanted. Its terms and its single prober are taken over.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

FAILURES_TO_OPEN = 3
"""In a row, seen by one sandbox."""
OPEN_MS = 30_000
"""From the failure that opened the circuit, or the last probe, to the next probe."""
PROBE_MS = 60_000
"""A prober that has not reported by then is taken for dead."""
FAIR_SECONDS = 30.0
"""A call that had less time than this, and used it up, says nothing about the deployment.

One that has a shorter time of its own (`timeout_seconds`) is judged by that.
"""


class Circuit(StrEnum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"  # one call may, to see


@dataclass(frozen=True, slots=True)
class Health:
    """How a sandbox sees one deployment."""

    failures: int = 0
    probe_at_ms: int = 0

    def circuit(self, now_ms: int) -> Circuit:
        """Whether a call may be made now."""
        if not self.probe_at_ms:
            return Circuit.CLOSED
        return Circuit.HALF_OPEN if now_ms >= self.probe_at_ms else Circuit.OPEN

    def told(self, probe_at_ms: int) -> "Health":
        """With what the others know."""
        if probe_at_ms == self.probe_at_ms:
            return self
        return Health(0 if self.probe_at_ms else self.failures, probe_at_ms)

    def failed(self) -> "Health":
        """After one more failure in a row."""
        return replace(self, failures=self.failures + 1)

    def opens_at(self, now_ms: int) -> int | None:
        """The probe time to share after a failure; None while nothing changes."""
        if self.probe_at_ms or self.failures >= FAILURES_TO_OPEN:
            return now_ms + OPEN_MS
        return None


def counts(*, given: float, taken: float, own: float | None = None) -> bool:
    """Whether a failure is the deployment's, in seconds: not when the call had too little time to begin with."""
    return given >= min(FAIR_SECONDS, own or FAIR_SECONDS) or taken < 0.9 * given
