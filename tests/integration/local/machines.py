"""Runs state machines on a local stack: what the Step Functions tests share."""

import json
from itertools import count
from typing import Any

from ratchet.local.stack import LocalStack
from tests.integration.local.waiting import eventually

Json = Any
ROLE = "arn:aws:iam::123456789012:role/any"

HANDLERS = """
    import os, pathlib, time

    class Transient(Exception): pass

    def echo(event, context):
        return event

    def inc(event, context):
        return {**event, "n": event["n"] + 1}

    def flaky(event, context):
        path = pathlib.Path(event["file"])
        calls = path.read_text().split() if path.exists() else []
        path.write_text(" ".join([*calls, str(event.get("attempt"))]))
        if len(calls) < event["fails"]:
            raise Transient("try again")
        return {"calls": path.read_text().split()}

    def hang(event, context):
        while not os.path.exists(event.get("release", "/nonexistent")):
            time.sleep(0.02)
        return event

    def boom(event, context):
        raise ValueError("bad")

    def big(event, context):
        return "x" * 300_000

    def token(event, context):
        pathlib.Path(event["file"]).write_text(event["token"])
"""
FUNCTIONS = ("echo", "inc", "flaky", "hang", "boom", "big", "token")


class Machines:
    """Creates machines, starts runs, waits for their end."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack
        self.api = stack.client("stepfunctions")
        self.arns = {name: stack.outputs[name] for name in FUNCTIONS}
        self._numbers = count()

    def create(self, definition: Json) -> str:
        arn: str = self.api.create_state_machine(
            name=f"m{next(self._numbers)}", definition=json.dumps(definition), roleArn=ROLE
        )["stateMachineArn"]
        return arn

    def publish(self, machine: str, definition: Json = None) -> str:
        """Publish a version of a machine, perhaps of a new definition."""
        changed = {} if definition is None else {"definition": json.dumps(definition)}
        arn: str = self.api.update_state_machine(
            stateMachineArn=machine, roleArn=ROLE, publish=True, **changed
        )["stateMachineVersionArn"]
        return arn

    def start(self, definition: Json, given: Json = None) -> str:
        arn: str = self.api.start_execution(
            stateMachineArn=self.create(definition),
            name=f"e{next(self._numbers)}",
            input=json.dumps(given or {}),
        )["executionArn"]
        return arn

    def describe(self, run: str) -> Json:
        return self.api.describe_execution(executionArn=run)

    def finish(self, run: str) -> Json:
        eventually(lambda: self.describe(run)["status"] != "RUNNING")
        return self.describe(run)

    def run(self, definition: Json, given: Json = None) -> Json:
        return self.finish(self.start(definition, given))

    def output(self, definition: Json, given: Json = None) -> Json:
        ended = self.run(definition, given)
        assert ended["status"] == "SUCCEEDED", ended
        return json.loads(ended["output"])

    def task(self, function: str, **fields: Json) -> Json:
        return {"Type": "Task", "Resource": self.arns[function], **fields}

    def events(self, run: str) -> list[str]:
        reply = self.api.get_execution_history(executionArn=run)
        return [event["type"] for event in reply["events"]]

    def reaches(self, run: str, event_type: str) -> None:
        eventually(lambda: event_type in self.events(run))


def single(state: Json, **machine: Json) -> Json:
    """A machine of one state, or of one state and a state ``Caught``."""
    states = {"A": {"End": True, **state}}
    if "Catch" in state:
        states["Caught"] = {"Type": "Pass", "End": True}
    return {"StartAt": "A", "States": states, **machine}
