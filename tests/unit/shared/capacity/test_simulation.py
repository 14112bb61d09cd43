"""Bursts against limits; all of them with seed 1 unless said otherwise."""

from pathlib import Path

import pytest

from ratchet.capacity.buckets import Bucket
from ratchet.capacity.errors import CapacityError
from ratchet.capacity.outcome import MAX_SAMPLES, Outcome, Percentiles
from ratchet.capacity.plots import write_plots
from ratchet.capacity.scenario import Aws, Load, Provider, Scenario
from ratchet.capacity.simulation import simulate
from ratchet.domain.admission import LimitRules

PLENTY = Provider(rpm=1e9, tpm=1e12)


def run(*loads: Load, **given: object) -> Outcome:
    return simulate(Scenario(loads, **{"steps": 5, **given}))  # type: ignore[arg-type]


@pytest.mark.parametrize("start", [0.0, 60.0])
def test_ten_thousand_tasks_of_one_tenant_do_not_hold_up_ten_of_another(start: float) -> None:
    big, quiet = Load("big", 10_000), Load("quiet", 10, start)

    solo = run(quiet).start_delay("quiet").p95
    fair = run(big, quiet).start_delay("quiet").p95
    unfair = run(big, quiet, is_fair=False).start_delay("quiet").p95

    assert fair <= 2 * solo
    assert unfair > 100 * solo


def test_fairness_does_not_cost_throughput() -> None:
    loads = (Load("big", 3_000), Load("quiet", 10))

    fair, unfair = run(*loads), run(*loads, is_fair=False)

    assert fair.makespan == pytest.approx(unfair.makespan, rel=0.05)


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    loads = (Load("a", 200), Load("b", 50, 5, 20))

    assert run(*loads).to_json() == run(*loads).to_json()
    assert run(*loads).makespan != run(*loads, seed=2).makespan


def test_every_task_starts_once_and_never_before_it_was_submitted() -> None:
    found = run(Load("a", 300), Load("b", 7, 10, 30), steps=2)

    assert {name: len(delays) for name, delays in found.delays.items()} == {"a": 300, "b": 7}
    assert min(min(delays) for delays in found.delays.values()) >= 0.199
    assert found.tally.calls == 307 * 2
    assert found.samples[0].waiting == 0


def test_token_buckets_use_the_quota_and_cause_next_to_no_429s() -> None:
    found = run(Load("a", 3_000), provider=Provider(rpm=3_000, tpm=1e12))

    assert found.bottleneck == "provider_rpm"
    assert 0.95 <= found.quota_used_share <= 1
    assert found.throttled_share <= 0.001


def test_tokens_a_minute_bind_as_requests_do() -> None:
    found = run(Load("a", 1_000), provider=Provider(rpm=1e9, tpm=10_000_000), step_tokens=5_000)

    assert found.bottleneck == "provider_tpm"
    assert 0.95 <= found.quota_used_share <= 1


def test_without_buckets_the_provider_throttles_and_admission_gives_way() -> None:
    tight = Provider(rpm=3_000, tpm=1e12, bucket_share=0)
    found = run(Load("a", 2_000), provider=tight, steps=20)

    assert found.throttled_share > 0.01
    values = [sample.limit for sample in found.samples]
    peak = values.index(max(values))
    waiting = [sample.limit for sample in found.samples[peak:] if sample.waiting > 10]
    assert min(waiting) < max(values)


def test_a_small_account_throttles_invocations_and_still_finishes() -> None:
    found = run(Load("a", 300), provider=PLENTY, aws=Aws(lambda_concurrency=30))

    assert found.tally.peak_sandboxes == 30
    assert found.tally.lambda_throttled > 0
    assert found.bottleneck == "lambda_concurrency"


def test_a_low_rate_of_transitions_is_the_bottleneck() -> None:
    slow = Aws(transitions_per_second=20, transition_burst=20)
    found = run(Load("a", 200), provider=PLENTY, aws=slow)

    assert found.makespan >= 200 * 5 * 2 / 20 * 0.95


def test_a_tenants_limit_holds() -> None:
    found = run(Load("a", 100), provider=PLENTY, tenant_limit=4)

    assert max(sample.running for sample in found.samples) == 4


def test_the_limit_rises_with_the_backlog_and_falls_without() -> None:
    late = Load("late", 1, start=200)
    found = run(Load("a", 500), late, provider=PLENTY, rules=LimitRules(20, 300))

    values = [sample.limit for sample in found.samples]
    assert (values[0], max(values), values[-1]) == (20, 300, 20)


def test_samples_are_thinned_for_json() -> None:
    found = run(Load("a", 500, over=2_000), provider=PLENTY)

    depth = found.to_json()["queue_depth"]
    assert isinstance(depth, dict)
    assert len(found.samples) > MAX_SAMPLES >= len(depth["samples"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"loads": ()},
        {"loads": (Load("a", 1), Load("a", 1))},
        {"steps": 0},
        {"tenant_limit": 0},
        {"tenant_limits": {"a": 0}},
        {"tenant_limits": {"b": 1}},
    ],
)
def test_scenarios_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(CapacityError):
        Scenario(**{"loads": (Load("a", 1),), **wrong})  # type: ignore[arg-type]


def test_parts_that_make_no_sense_are_refused() -> None:
    for make in (
        lambda: Load("a", 0),
        lambda: Load("", 1),
        lambda: Provider(rpm=0),
        lambda: Provider(other_use=1.0),
        lambda: Aws(lambda_concurrency=0),
        lambda: Aws(starts_per_second=0),
    ):
        with pytest.raises(CapacityError):
            make()


def test_a_bucket_refills_by_time() -> None:
    bucket = Bucket(rate=2, burst=4)

    assert bucket.take(0, 4)
    assert not bucket.take(0.4, 1)
    assert bucket.take(0.5, 1)
    assert bucket.reserve(0.5, 3) == 1.5
    assert bucket.reserve(0.5, 1) == 2.0
    assert bucket.shortage(100, 1_000) == 0  # larger than the burst: a full bucket must do


def test_percentiles_of_one_value_are_that_value() -> None:
    assert Percentiles.of([3.0]) == Percentiles(3.0, 3.0, 3.0, 3.0)
    assert Percentiles.of([0.0, 1.0]).p50 == 0.5


def test_plots_are_png_files(tmp_path: Path) -> None:
    written = write_plots(run(Load("a", 30), Load("b", 3)), tmp_path / "new" / "plots")

    assert [path.name for path in written] == ["queue_depth.png", "start_delay.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
