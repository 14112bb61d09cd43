"""State transitions of an execution, by walking the definition that is deployed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ratchet.contracts.messages import StepOutput


def transitions(definition: Mapping[str, Any], states: Sequence[StepOutput]) -> int:
    """How many states an execution enters; `states` are its input and then the output of each step.

    Raises:
        ValueError: the definition has a kind of state that the walk does not know.
    """
    told = iter(states)
    data = next(told).to_dict()
    name, entered = definition["StartAt"], 0
    while name is not None:
        state = definition["States"][name]
        entered += 1
        if state["Type"] == "Choice":
            name = _chosen(state, data)
        elif state["Type"] == "Task":
            if state["Resource"] == "${StepExecutorArn}":
                data = next(told).to_dict()
            name = state.get("Next")
        elif state["Type"] == "Wait":
            name = state["Next"]
        elif state["Type"] == "Pass":
            data = {**data, state["ResultPath"].removeprefix("$."): state["Result"]}
            name = state["Next"]
        else:
            raise ValueError(f"a {state['Type']} state, {name!r}, is not on a smooth way")
    return entered


def _chosen(state: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
    for choice in state["Choices"]:
        if all(_holds(rule, data) for rule in choice.get("And", [choice])):
            return choice["Next"]
    return state["Default"]


def _holds(rule: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    value = _value(rule["Variable"].removeprefix("$.").split("."), data)
    if "NumericGreaterThan" in rule:
        return bool(value > rule["NumericGreaterThan"])
    return bool(value == rule["StringEquals"])


def _value(path: Iterable[str], data: Any) -> Any:
    for name in path:
        data = data.get(name) if isinstance(data, Mapping) else None
    return data
