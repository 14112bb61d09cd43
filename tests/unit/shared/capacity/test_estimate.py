"""What a workload costs and needs."""

import pytest

from cdk.deployment import Deployment
from ratchet.capacity.errors import CapacityError
from ratchet.capacity.estimate import Estimate, Extras, ProviderLimit, Surroundings, estimate
from ratchet.capacity.quotas import QUOTAS, overridden
from ratchet.capacity.workload import Tokens, Workload, model_use
from ratchet.contracts.errors import UnpricedModel
from ratchet.contracts.names import Complexity, StepType
from ratchet.contracts.routing import RoutingTable, Rule
from ratchet.domain.models import built_in
from ratchet.domain.task_bill import Functions, TaskRun, task_bill

LARGE, SMALL = RoutingTable(), RoutingTable(default=("gpt-4o-mini",))
ONE_STEP = Workload(tasks_per_day=86_400, steps=1)


def of(work: Workload = ONE_STEP, table: RoutingTable = LARGE, **around: object) -> Estimate:
    return estimate(work, table, Surroundings(**around))  # type: ignore[arg-type]


def test_one_call_costs_its_tokens_at_list_price() -> None:
    work = Workload(1, 1, tokens=Tokens(first_input=1_000, output=100))

    assert model_use(work, LARGE, built_in())["gpt-4o"].microusd == pytest.approx(2_500 + 1_000)


def test_prompts_grow_and_what_the_model_has_read_is_cached() -> None:
    tokens = Tokens(first_input=2_000, growth=1_000, output=0, cached_share=0.5)

    use = model_use(Workload(1, 3, tokens=tokens), LARGE, built_in())["gpt-4o"]

    assert use.input_tokens == pytest.approx(2_000 + 3_000 + 4_000)
    assert use.cached_tokens == pytest.approx(1_000 + 1_500)


def test_short_prompts_are_not_cached() -> None:
    tokens = Tokens(first_input=1_000, growth=10, cached_share=1.0)

    assert model_use(Workload(1, 3, tokens=tokens), LARGE, built_in())["gpt-4o"].cached_tokens == 0


def test_changing_the_model_starts_with_a_cold_cache() -> None:
    table = RoutingTable(rules=(Rule(step=StepType.FINAL_SYNTHESIS, models=("gpt-4o-mini",)),))
    work = Workload(1, 4, tokens=Tokens(first_input=5_000))

    assert model_use(work, table, built_in())["gpt-4o-mini"].cached_tokens == 0
    assert model_use(work, SMALL, built_in())["gpt-4o-mini"].cached_tokens > 0


def test_reasoning_models_bill_their_reasoning() -> None:
    work = Workload(1, 1, tokens=Tokens(output=100, reasoning=900))

    assert model_use(work, RoutingTable(default=("o3",)), built_in())["o3"].output_tokens == 1_000
    assert model_use(work, LARGE, built_in())["gpt-4o"].output_tokens == 100


def test_the_complex_share_weighs_the_routes() -> None:
    table = RoutingTable(
        default=("gpt-4o-mini",),
        rules=(
            Rule(step=StepType.TOOL_DISPATCH, complexity=Complexity.COMPLEX, models=("gpt-4o",)),
        ),
    )
    use = model_use(Workload(1, 1, complex_share=0.25), table, built_in())

    assert {name: found.calls for name, found in use.items()} == {
        "gpt-4o-mini": 0.75,
        "gpt-4o": 0.25,
    }


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 25, 500])
def test_a_task_has_as_many_steps_as_asked_for(steps: int) -> None:
    mixes: tuple[dict[StepType, float], ...] = (
        {},
        {StepType.REASONING: 1.0, StepType.TOOL_DISPATCH: 2.0, StepType.PLANNING: 0.1},
    )
    for mix in mixes:
        assert len(Workload(1, steps, mix=mix).step_types()) == steps


def test_steps_come_in_the_order_of_a_task() -> None:
    types = Workload(1, 12).step_types()

    assert types[0] is StepType.PLANNING
    assert types[-1] is StepType.FINAL_SYNTHESIS
    assert types.count(StepType.REASONING) == 1


def test_a_model_without_a_price_is_refused_even_as_a_failover() -> None:
    with pytest.raises(UnpricedModel, match="'gpt-9' has no price; add 'gpt-9'"):
        of(table=RoutingTable(default=("gpt-4o", "gpt-9")))


@pytest.mark.parametrize(
    "wrong",
    [
        {"tasks_per_day": 0},
        {"steps": 0},
        {"steps": 5_001},
        {"complex_share": 1.1},
        {"step_seconds": 0},
        {"peak_factor": 0.5},
        {"mix": {StepType.PLANNING: 0}},
        {"mix": {StepType.PLANNING: -1, StepType.REASONING: 2}},
    ],
)
def test_figures_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(CapacityError):
        Workload(**{"tasks_per_day": 1, "steps": 1, **wrong})  # type: ignore[arg-type]


def test_a_month_is_its_tasks_and_what_the_stack_costs_without_any() -> None:
    found = of()

    of_tasks = task_bill(TaskRun((3_000,))).usd * ONE_STEP.tasks_per_month
    metrics = (2 + 4 + 4) * 0.30  # of the one step type, of the one model, and of all
    assert found.month_bill.usd == pytest.approx(of_tasks + found.idle_bill.usd + metrics, rel=1e-3)
    assert 2 < found.idle_bill.usd < 3
    assert found.usd_per_month == pytest.approx(found.models_usd_per_month + found.month_bill.usd)
    assert sum(found.usd_by_service().values()) == pytest.approx(found.month_bill.usd)


@pytest.mark.parametrize(
    ("extras", "architecture", "usd"),
    [
        (Extras(secrets=2), "arm64", 0.80),
        (Extras(customer_keys=1), "arm64", 1.00),
        # Half a gigabyte, 730 h, at $0.0000033334 and $0.0000041667 a gigabyte-second; and two alarms.
        (Extras(warm=2), "arm64", 8.96),
        (Extras(warm=1), "x86_64", 5.675),
    ],
)
def test_settings_add_to_what_the_stack_costs_without_any_task(
    extras: Extras, architecture: str, usd: float
) -> None:
    functions = Functions(architecture=architecture)
    plain, more = of(functions=functions), of(functions=functions, extras=extras)
    assert more.idle_bill.usd - plain.idle_bill.usd == pytest.approx(usd, rel=1e-3)
    assert more.month_bill.usd - plain.month_bill.usd == pytest.approx(usd, rel=1e-3)


def test_routing_to_the_compared_model_saves_nothing_and_to_a_small_one_most() -> None:
    assert of().saving_share == pytest.approx(0)
    assert of(table=SMALL).saving_share == pytest.approx(0.94, abs=0.01)


def test_sandboxes_follow_littles_law() -> None:
    work = Workload(tasks_per_day=86_400, steps=10, step_seconds=3.0, peak_factor=4)

    found = of(work).concurrency

    assert found.mean == pytest.approx(30 + 4 * 0.1)  # a task a second; four other functions
    assert found.peak == pytest.approx(4 * found.mean)


def test_a_million_tasks_a_day_fill_lambda_first() -> None:
    found = of(Workload(1_000_000, 25))

    assert found.uses[0].quota.key == "lambda_concurrency"
    assert found.uses[0].share > 1
    again = of(Workload(found.tasks_per_day_at_limit, 25))
    assert again.uses[0].share == pytest.approx(1.0)


def test_provider_limits_are_quotas_like_others() -> None:
    found = of(providers=(ProviderLimit("gpt-4o", rpm=10, tpm=1e9),))

    assert found.uses[0].quota.key == "rpm:gpt-4o"
    assert found.uses[0].mean == pytest.approx(60)


def test_ones_own_quotas_take_the_place_of_the_defaults() -> None:
    quotas = overridden({"lambda_concurrency": 20_000})

    assert of(quotas=quotas).concurrency.quota.limit == 20_000
    with pytest.raises(CapacityError, match="no quota lambda; there are: api_throttle"):
        overridden({"lambda": 1})
    with pytest.raises(CapacityError, match="above 0"):
        overridden({"sfn_starts": 0})


def test_limits_that_are_settings_are_those_of_the_deployment() -> None:
    own, deployed = {quota.key: quota.limit for quota in QUOTAS}, Deployment()

    assert own["api_throttle"] == deployed.throttle_rate
    assert own["dispatcher"] == deployed.dispatcher_concurrency / 0.1
    assert own["deliverer"] == deployed.deliverer_concurrency / 0.1


def test_json_has_the_keys_that_are_documented() -> None:
    found = of().to_json()

    assert list(found) == [
        "assumptions",
        "usd_per_month",
        "usd_per_task",
        "all_on",
        "tokens_per_task",
        "lambda_concurrency",
        "quotas",
        "bottleneck",
    ]
