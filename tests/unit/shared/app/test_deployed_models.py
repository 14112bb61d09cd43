"""Tasks of a deployment with models of its own, and of one whose routes lead to a model without a price."""

from dataclasses import replace

import pytest

from ratchet import Agent
from ratchet.app.deployed_models import DeployedModels
from ratchet.contracts.messages import Route, StepInput
from ratchet.contracts.priced_models import Price, PricedModel
from ratchet.contracts.request_errors import ModelNotPriced
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.models import ModelCatalogue, Usage
from ratchet.model_ports import ModelAnswer
from ratchet.testing.chat import says
from tests.unit.shared.app.world import World

HOUSE = PricedModel("house", Price(1000, 100, 2000, 5000), 32_768, 4096)
AGENT = Agent("support", "Help.", policy="react")


@pytest.mark.parametrize(
    "route", [Route("planning simple", ("o3", "house")), Route("act", ("o3",), ("house",))]
)
def test_a_task_that_may_reach_an_unpriced_model_is_not_accepted(route: Route) -> None:
    world = World(AGENT)
    submit = replace(world.submit, models=DeployedModels(routes=(route,)))
    with pytest.raises(ModelNotPriced, match=f"'{route.name}'.*'house'.*`ratchet prices house`"):
        submit(TaskRequest(goal="Go."), tenant="acme")
    assert world.inbox.receive() is None


def test_the_check_takes_the_routes_of_another_table() -> None:
    priced = DeployedModels(ModelCatalogue([HOUSE]), (Route("own", ("house",)),))
    priced.check()
    priced.check([Route("other", ("house",))])
    with pytest.raises(ModelNotPriced, match="gpt-4o"):
        priced.check([Route("other", ("house",), ("gpt-4o",))])


def test_a_step_is_priced_by_the_deployments_own_catalogue() -> None:
    usage = Usage(1000, 300, 100, cache_write_tokens=500)
    world = World(AGENT, chat=[replace_usage(says("Done."), usage)])
    state = world.first(world.submitted())
    execute = replace(world.executor(), models=ModelCatalogue([HOUSE]))
    event = StepInput(state.task, state.step, Route("own", ("house",)), state.execution)
    execute(event, remaining_seconds=lambda: 300.0)
    (record,) = world.store.load(state.task).records  # type: ignore[union-attr]
    assert record.result.model == "house"
    assert record.totals.usage == usage
    assert record.totals.cost_microusd == 200 + 30 + 1000 + 500


def replace_usage(answer: ModelAnswer, usage: Usage) -> ModelAnswer:
    return replace(answer, usage=usage)
