"""The circuit breaker as a value."""

from ratchet.domain.circuit import FAILURES_TO_OPEN, OPEN_MS, Circuit, Health, counts

NOW = 1_767_225_600_000


def test_it_opens_at_the_last_of_a_row_of_failures() -> None:
    health = Health()
    for _ in range(FAILURES_TO_OPEN - 1):
        health = health.failed()
        assert health.opens_at(NOW) is None
    assert health.failed().opens_at(NOW) == NOW + OPEN_MS


def test_it_lets_one_probe_through_when_its_time_has_come() -> None:
    health = Health(probe_at_ms=NOW)
    assert health.circuit(NOW - 1) is Circuit.OPEN
    assert health.circuit(NOW) is Circuit.HALF_OPEN
    assert Health().circuit(NOW) is Circuit.CLOSED


def test_a_failed_probe_opens_it_again() -> None:
    assert Health(probe_at_ms=NOW).failed().opens_at(NOW) == NOW + OPEN_MS


def test_who_hears_that_it_works_again_forgets_its_failures() -> None:
    assert Health(3, NOW).told(0) == Health()


def test_who_hears_nothing_new_goes_on_counting() -> None:
    assert Health(2).told(0) == Health(2)
    assert Health(2).told(NOW) == Health(2, NOW)


def test_a_call_without_time_says_nothing_about_its_deployment() -> None:
    assert not counts(given=5, taken=5)
    assert counts(given=5, taken=0.1), "a 503 is one, however little time there was"
    assert counts(given=60, taken=60)
    assert counts(given=5, taken=5, own=5), "its own time is fair"
    assert not counts(given=3, taken=3, own=5)
