"""Structure of a state machine: every target exists, every state is reachable.

moto accepts a dangling Next, and cfn-lint does not look into a joined definition.
"""

from ratchet.local.errors import LocalStackError
from ratchet.local.json_types import JsonObject

_ENDS_BY_TYPE = ("Choice", "Succeed", "Fail")


def check_definition(definition: JsonObject, where: str = "$") -> None:
    """Checks one definition and everything nested in it.

    Raises:
        LocalStackError: the definition would be refused by AWS, or has dead states.
    """
    states: JsonObject = definition["States"]
    seen: set[str] = set()
    todo: list[str] = [definition["StartAt"]]
    while todo:
        name = todo.pop()
        if name not in states:
            raise LocalStackError(f"{where}: no state is named {name!r}")
        if name not in seen:
            seen.add(name)
            todo += _targets(states[name])
            _check_state(states[name], f"{where}.{name}")
    if dead := sorted(set(states) - seen):
        raise LocalStackError(f"{where}: unreachable states {dead}")


def _targets(state: JsonObject) -> list[str]:
    direct = [state[key] for key in ("Next", "Default") if key in state]
    nested = [entry for key in ("Catch", "Choices") for entry in state.get(key, [])]
    return direct + [entry["Next"] for entry in nested]


def _check_state(state: JsonObject, where: str) -> None:
    if state["Type"] not in _ENDS_BY_TYPE and ("Next" in state) == bool(state.get("End")):
        raise LocalStackError(f"{where}: exactly one of Next and End is needed")
    inner = [*state.get("Branches", []), state.get("ItemProcessor"), state.get("Iterator")]
    for machine in filter(None, inner):
        check_definition(machine, where)
