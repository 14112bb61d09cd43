"""New code in a running stack: what has a version keeps its code, what has none runs the new one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ratchet.local.stack import LocalStack
from tests.integration.local.builder import STACK, Assembly, att, join
from tests.integration.local.waiting import eventually

Json = Any
HANDLERS = """
    import os

    def work(event, context):
        return {"said": "old"}

    def tell(event, context):
        return os.environ["MACHINE"]

    def plain(event, context):
        return "old"
"""
MACHINE = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "%", "End": True}}}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    """A machine of one version, which runs a version of `Work`; `Tell` knows the machine's version."""
    assembly = Assembly(tmp_path / "cdk.out")
    assembly.function("Work", "handlers.work")
    assembly.function("Plain", "handlers.plain")
    version = assembly.add("WorkVersion", "AWS::Lambda::Version", FunctionName={"Ref": "Work"})
    before, after = json.dumps(MACHINE).split("%")
    assembly.machine("Machine", join(before, version, after))
    machine = assembly.add(
        "MachineVersion",
        "AWS::StepFunctions::StateMachineVersion",
        StateMachineArn={"Ref": "Machine"},
        StateMachineRevisionId=att("Machine", "StateMachineRevisionId"),
    )
    assembly.function("Tell", "handlers.tell", Environment={"Variables": {"MACHINE": machine}})
    assembly.output("Version", machine)
    assembly.output("Plain", {"Ref": "Plain"})
    with LocalStack.start(assembly.write(HANDLERS), stack_name=STACK) as running:
        yield running


@pytest.fixture
def new_code(tmp_path: Path) -> Path:
    folder = tmp_path / "new"
    folder.mkdir()
    code = "def work(event, context): return {'said': 'new'}\ndef plain(event, context): return 'new'\n"
    (folder / "handlers.py").write_text(code)
    return folder


def said(stack: LocalStack, version: str, name: str) -> Json:
    sfn = stack.client("stepfunctions")
    run = sfn.start_execution(stateMachineArn=version, name=name)["executionArn"]
    eventually(lambda: sfn.describe_execution(executionArn=run)["status"] != "RUNNING")
    return json.loads(sfn.describe_execution(executionArn=run)["output"])["said"]


def told(stack: LocalStack) -> str:
    name = next(n for n in stack.function_names() if "Tell" in n)
    return str(json.load(stack.client("lambda").invoke(FunctionName=name)["Payload"]))


def test_a_versions_executions_run_its_code_after_the_next_one_was_deployed(
    stack: LocalStack, new_code: Path
) -> None:
    old = stack.outputs["Version"]
    assert (told(stack), said(stack, old, "a")) == (old, "old")
    stack.reload({"Work": new_code})
    new = told(stack)
    assert new == f"{old.rpartition(':')[0]}:2"
    heard = [said(stack, version, f"b{n}") for n, version in enumerate([old, new, old, new])]
    assert heard == ["old", "new", "old", "new"]


def test_each_reload_is_a_version_more(stack: LocalStack, new_code: Path) -> None:
    stack.reload({"Work": new_code})
    stack.reload({"Work": new_code})
    assert told(stack).endswith(":3")


def test_two_versions_do_not_cost_each_other_their_sandboxes(
    stack: LocalStack, new_code: Path
) -> None:
    old = stack.outputs["Version"]
    said(stack, old, "a")
    stack.reload({"Work": new_code})
    said(stack, told(stack), "b")
    warm = set(stack.sandbox_pids("Work"))
    assert len(warm) == 2
    said(stack, old, "c")
    said(stack, told(stack), "d")
    assert set(stack.sandbox_pids("Work")) == warm


def test_a_function_without_versions_tells_nobody(stack: LocalStack, new_code: Path) -> None:
    before = told(stack)
    stack.reload({"Plain": new_code})
    reply = stack.client("lambda").invoke(FunctionName=stack.outputs["Plain"])["Payload"]
    assert (json.load(reply), told(stack)) == ("new", before)
