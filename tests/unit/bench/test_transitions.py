"""Counting transitions on the definition that is deployed."""

from pathlib import Path

from cdk.components.asl import definition
from ratchet.contracts.messages import StepOutput, StepRef
from ratchet.contracts.names import Action, Complexity, StepType
from ratchet.contracts.routing import RoutingTable
from tests.bench.transitions import transitions
from tests.unit.shared.builders import REF

ROUTING = RoutingTable.load(Path(__file__).parents[3] / "cdk" / "routing.yaml")
MACHINE = definition(ROUTING, step_timeout_seconds=300)


def state(number: int, action: Action = Action.STEP) -> StepOutput:
    step = StepRef(number, StepType.TOOL_DISPATCH, Complexity.SIMPLE)
    return StepOutput(REF, action, step, status="succeeded" if action is Action.FINISH else None)


def test_a_step_is_two_transitions_and_the_end_two_more() -> None:
    one = [state(1), state(1, Action.FINISH)]
    three = [state(1), state(2), state(3), state(3, Action.FINISH)]
    assert transitions(MACHINE, one) == 4
    assert transitions(MACHINE, three) == 8
