"""New code in a running stack: what a deployment does with versions, from the functions outwards."""

from collections.abc import Mapping
from pathlib import Path

from ratchet.local.runtime import Runtime

_Renamed = dict[str, str]


def redeploy(runtime: Runtime, code_dirs: Mapping[str, Path]) -> None:
    """Runs functions from new code. Where one has versions, it gets another, which new executions use.

    A version keeps its code: a state machine's definition that names one is published again with the new one, and
    functions that are told a state machine's version are told the new one.
    """
    renamed: _Renamed = {}
    for name, code_dir in code_dirs.items():
        runtime.functions.reload(name, code_dir)
        registry = runtime.functions.registry
        if old := registry.latest_version(name):
            renamed[old] = f"{registry.config(name).arn}:{registry.publish(name)}"
    if renamed:
        _tell_functions(runtime, _publish_machines(runtime, renamed))


def _publish_machines(runtime: Runtime, renamed: _Renamed) -> _Renamed:
    """Publishes the machines that name a renamed function; the new version by the old one."""
    stepfunctions = runtime.endpoint.client("stepfunctions")
    published: _Renamed = {}
    for machine in stepfunctions.list_state_machines()["stateMachines"]:
        arn = machine["stateMachineArn"]
        old = new = stepfunctions.describe_state_machine(stateMachineArn=arn)["definition"]
        for before, after in renamed.items():
            new = new.replace(f'"{before}"', f'"{after}"')
        if new != old:
            version = stepfunctions.update_state_machine(
                stateMachineArn=arn, definition=new, publish=True
            )["stateMachineVersionArn"]
            number = int(version.rpartition(":")[2])
            published[f"{arn}:{number - 1}"] = version
    return published


def _tell_functions(runtime: Runtime, published: _Renamed) -> None:
    registry = runtime.functions.registry
    for name in registry.names():
        before = registry.config(name).environment
        after = {key: published.get(value, value) for key, value in before.items()}
        if after != before:
            runtime.functions.tell(name, after)
