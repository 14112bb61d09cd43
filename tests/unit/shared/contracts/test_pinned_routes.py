import json

from ratchet.contracts.messages import Route
from ratchet.contracts.names import Complexity, StepType
from ratchet.contracts.pinned_routes import PinnedRoutes
from ratchet.contracts.routing import RoutingTable

TABLE = RoutingTable.model_validate(
    {
        "default": ["o3"],
        "rules": [
            {"step": "reasoning", "complexity": "simple", "models": ["gpt-4o-mini", "gpt-4o"]},
            {"step": "planning", "models": ["o3-mini"]},
        ],
    }
)


def test_a_pinned_table_has_the_routes_of_the_table_under_names_that_say_so() -> None:
    pinned = TABLE.pinned()
    for step in StepType:
        for level in Complexity:
            of_table, of_pin = TABLE.route(step, level), pinned.route(step, level)
            assert of_pin.name == f"{of_table.name}, override"
            assert (of_pin.models, of_pin.escalation) == (of_table.models, of_table.escalation)
    assert len(pinned.routes()) == 8


def test_a_table_that_is_not_sticky_stays_so() -> None:
    table = TABLE.model_copy(update={"sticky_prefix": False})
    route = table.route(StepType.REASONING, Complexity.SIMPLE)
    assert not route.sticky
    assert Route.from_dict(route.to_dict()) == route
    assert "sticky" not in TABLE.route(StepType.REASONING, Complexity.SIMPLE).to_dict()
    stored = table.pinned().to_json()
    assert stored["sticky_prefix"] is False
    assert PinnedRoutes.from_json(stored) == table.pinned()
    assert not table.pinned().route(StepType.REASONING, Complexity.SIMPLE).sticky


def test_it_is_stored_with_models_named_once_where_complexity_makes_no_difference() -> None:
    stored = TABLE.pinned().to_json()
    assert stored["planning"] == [["o3-mini"]]
    assert stored["reasoning"] == [["gpt-4o-mini", "gpt-4o"], ["o3"]]
    read = PinnedRoutes.from_json(json.loads(json.dumps(stored)))
    assert read == TABLE.pinned()
    assert read.route(StepType.REASONING, Complexity.SIMPLE) == Route(
        "reasoning simple, override", ("gpt-4o-mini", "gpt-4o"), ("o3",)
    )
