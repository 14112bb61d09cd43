"""How much of a provider's quota a fleet of executors uses, and how often it is told 429. Counts in virtual time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from ratchet.domain.deployments import Deployment
from ratchet.domain.quota import Quota
from ratchet.testing.deployment import quiet_log
from tests.figures import Tell
from tests.simulation.providers import Fleet, Script

MUCH = 10**8
SECONDS = 300
SEED = 7


@dataclass(frozen=True)
class Case:
    """Tasks of growing prompts, more than the providers can take, unless said otherwise."""

    scripts: tuple[Script, ...]
    weights: tuple[int, ...] = (1,)
    tasks: int = 600
    over_seconds: int = 1
    knows_quota: bool = True

    def run(self) -> Fleet:
        deployments = [
            Deployment(name, "gpt-4o", weight, Quota(s.rpm, s.tpm) if self.knows_quota else None)
            for name, weight, s in zip("ab", self.weights, self.scripts, strict=False)
        ]
        fleet = Fleet(deployments, self.scripts, seed=SEED)
        fleet.run(self.tasks, steps=12, seconds=SECONDS, over_seconds=self.over_seconds)
        return fleet


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet_log():
        yield


def print_case(tell: Tell, name: str, fleet: Fleet) -> None:
    used = ", ".join(f"{fleet.used(n, seconds=SECONDS):.1%}" for n in fleet.providers)
    tallies = [fleet.tally(name) for name in fleet.providers]
    tell(
        f"{name}: quota used {used}; 429 {fleet.share_of_429():.3%} of {sum(t.calls for t in tallies)} calls; "
        f"{sum(t.failed for t in tallies)} failed; {fleet.writes_a_call():.2f} writes a call "
        f"(seed {SEED})",
    )


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("requests are short, all at once", Case((Script(600, MUCH),))),
        ("tokens are short, all at once", Case((Script(100_000, 1_500_000),))),
        ("tokens are short, over 2 minutes", Case((Script(100_000, 1_500_000),), over_seconds=120)),
        ("both are short", Case((Script(600, 900_000),), over_seconds=120)),
        ("two providers, 2:1", Case((Script(400, MUCH), Script(200, MUCH)), (2, 1))),
        (
            "one slow for 100 s",
            Case((Script(400, MUCH, slow=[(60, 160)]), Script(200, MUCH)), (2, 1)),
        ),
    ],
)
def test_the_quota_is_used_up_and_hardly_ever_passed(tell: Tell, name: str, case: Case) -> None:
    fleet = case.run()
    print_case(tell, name, fleet)
    for provider in fleet.providers:
        assert 0.935 <= fleet.used(provider, seconds=SECONDS) <= 1.0
    assert fleet.share_of_429() <= 0.0015
    assert fleet.writes_a_call() <= 1.05


def test_without_the_shared_quota_most_calls_are_refused(tell: Tell) -> None:
    fleet = Case((Script(600, MUCH),), knows_quota=False).run()
    print_case(tell, "the same without rpm and tpm", fleet)
    assert fleet.share_of_429() > 0.2
    assert not fleet.state.requests


def test_an_outage_costs_few_failed_calls_and_the_others_take_over(
    tell: Tell,
) -> None:
    outage = Script(400, MUCH, outages=[(60, 120)])
    fleet = Case((outage, Script(200, MUCH)), (2, 1)).run()
    print_case(tell, "one out for 60 s", fleet)
    # Each sandbox finds out once; the one that probes does so every half minute.
    assert fleet.tally("a").failed <= fleet.sandboxes + 3 * 4 + 3
    assert fleet.state.requests["read"] <= fleet.sandboxes
    assert fleet.used("a", seconds=SECONDS) >= 0.8
    assert fleet.used("b", seconds=SECONDS) >= 0.93
    assert fleet.share_of_429() <= 0.0015
    assert fleet.failovers > 0


def test_a_provider_that_refuses_everybody_for_a_while_is_left_alone(
    tell: Tell,
) -> None:
    fleet = Case((Script(600, MUCH, storms=[(100, 120)]),)).run()
    print_case(tell, "429 to all for 20 s", fleet)
    assert fleet.tally("a").throttled <= fleet.sandboxes
    assert fleet.used("a", seconds=SECONDS) >= 0.93


def test_a_quiet_provider_makes_nobody_wait(tell: Tell) -> None:
    fleet = Case((Script(6_000, MUCH),), tasks=200, over_seconds=250).run()
    print_case(tell, "a tenth of the quota is wanted", fleet)
    assert fleet.waits == 0
    assert fleet.writes_a_call() <= 1.3


def test_the_same_seed_is_the_same_run() -> None:
    def facts() -> Sequence[object]:
        fleet = Case((Script(60, MUCH),), tasks=50).run()
        return fleet.tally("a"), fleet.state.requests, fleet.waits

    assert facts() == facts()
