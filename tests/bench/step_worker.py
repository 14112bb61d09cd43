"""The steps of standard tasks in one process, timed by its own CPU. Its stdout is what a function would log.

Run as `python -m tests.bench.step_worker RESULT ROUNDS` with AWS_ENDPOINT_URL set to the stub server's address; RESULT
is the file that the figures are written to. Each figure is one task's mean CPU per step, in milliseconds.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from ratchet.adapters.aws import client
from ratchet.adapters.dynamodb import DynamoDbCheckpoints
from ratchet.adapters.openai_chat import OpenAiChat
from ratchet.adapters.payloads import S3Payloads
from ratchet.adapters.system import SystemClock, UlidIds
from ratchet.contracts.messages import StepOutput, StepRef, TaskRef
from ratchet.contracts.names import Action
from ratchet.domain.policy import React
from ratchet.domain.steps import Step
from ratchet.domain.task import Task
from ratchet.model_ports import ChatModel
from ratchet.observability import EmfMetrics
from ratchet.ports import CheckpointStore, Metrics
from ratchet.testing.chat import ScriptedChat
from ratchet.testing.store import InMemoryCheckpoints
from tests.bench import naive
from tests.bench.agent_loop import NoMetrics, run_steps, sandbox
from tests.bench.figures import interleaved
from tests.bench.standard import GOAL, chat_messages, script, standard_agent

CYCLES = 25
STEPS = CYCLES + 1
CLOCK = SystemClock()
IDS = UlidIds(CLOCK)


@dataclass(frozen=True, slots=True)
class Ours:
    """Our steps on some adapters; a fresh sandbox knows nothing of the steps before."""

    store: CheckpointStore
    chat: ChatModel
    metrics: Metrics
    fresh: bool = False

    def __call__(self) -> float:
        """Run one task."""
        task = _task()
        self.store.create_task(task, claim=None, due_at_ms=task.created_at_ms)
        first = StepRef(1, task.first_step.type, task.first_step.complexity)
        kept = self._sandbox()
        steps = run_steps(
            StepOutput(task.ref, Action.STEP, first),
            lambda: self._sandbox() if self.fresh else kept,
        )
        return timed(steps)

    def _sandbox(self) -> Any:
        return sandbox(self.store, self.chat, clock=CLOCK, metrics=self.metrics)


@dataclass(frozen=True, slots=True)
class Naive:
    """A baseline's steps: it stores the conversation and does nothing else."""

    keeper: Callable[[str], naive.Keeper]
    fresh: bool = False
    each: bool = False

    def __call__(self) -> float:
        """Run one task. What precedes the first step is part of the first."""
        conversation = chat_messages(CYCLES)
        if self.each:
            conversation = naive.each_message(conversation)
        return timed(naive.run(self.keeper(IDS.task_id()), conversation, fresh=self.fresh))


class MemoryClient:
    """As much of a DynamoDB client as the naive way needs, in a dict."""

    def __init__(self) -> None:
        self._items: dict[str, Any] = {}

    def put_item(self, **request: Any) -> None:
        """Keep an item."""
        self._items[request["Item"]["pk"]["S"]] = request["Item"]

    def get_item(self, **request: Any) -> Any:
        """Find it."""
        return {"Item": self._items[request["Key"]["pk"]["S"]]}


def timed(steps: Iterable[object]) -> float:
    """CPU milliseconds per step."""
    gc.collect()
    started = time.process_time()
    for _ in steps:
        pass
    return (time.process_time() - started) * 1000 / STEPS


def subjects(endpoint: str) -> dict[str, Callable[[], float]]:
    """What is compared, by the names that the section shows."""
    chat = ScriptedChat(script(CYCLES))
    plain: Any = boto3.client("dynamodb")
    memory: Any = MemoryClient()
    on_aws = DynamoDbCheckpoints(
        client("dynamodb"),
        table="steps",
        payloads=S3Payloads(lambda: client("s3"), "-"),
        clock=CLOCK,
    )
    sdk = OpenAiChat(f"{endpoint}/v1", api_key=lambda *, fresh=False: "sk-stub", clock=CLOCK)
    return {
        "ours, ports in memory": Ours(InMemoryCheckpoints(CLOCK), chat, NoMetrics()),
        "naive loop, in memory": Naive(lambda task: naive.WholeHistory(memory, task)),
        "ours, warm": Ours(on_aws, chat, EmfMetrics()),
        "ours, fresh": Ours(on_aws, chat, EmfMetrics(), fresh=True),
        "ours, warm, openai SDK": Ours(on_aws, sdk, EmfMetrics()),
        "naive, once per cycle": Naive(lambda task: naive.WholeHistory(plain, task)),
        "naive, once per cycle, fresh": Naive(lambda t: naive.WholeHistory(plain, t), fresh=True),
        "naive, each step": Naive(lambda task: naive.WholeHistory(plain, task), each=True),
        "naive, each step, fresh": Naive(
            lambda task: naive.WholeHistory(plain, task), fresh=True, each=True
        ),
        "append zlib": Naive(lambda task: naive.AppendItems(plain, task)),
        "append zlib, fresh": Naive(lambda task: naive.AppendItems(plain, task), fresh=True),
    }


def log_bytes(run: Callable[[], float]) -> int:
    """What one task logs."""
    sys.stdout.flush()
    before = os.fstat(1).st_size
    run()
    sys.stdout.flush()
    return os.fstat(1).st_size - before


def main() -> None:
    """Measure."""
    result, rounds = sys.argv[1:]
    compared = subjects(os.environ["AWS_ENDPOINT_URL"])
    interleaved(compared, rounds=1)  # the first round makes connections and fills caches
    found: dict[str, Any] = {"milliseconds": interleaved(compared, rounds=int(rounds))}
    found["log_bytes"] = log_bytes(compared["ours, warm"])
    Path(result).write_text(json.dumps(found), encoding="utf-8")


def _task() -> Task:
    agent = standard_agent()
    first = React().next_step((), agent.traits)
    assert isinstance(first, Step)
    return Task(
        ref=TaskRef("acme", IDS.task_id()),
        goal=GOAL,
        agent=agent.name,
        agent_version=agent.version,
        first_step=first,
        limits=agent.limits,
        created_at_ms=CLOCK.now_ms(),
    )


if __name__ == "__main__":
    main()
