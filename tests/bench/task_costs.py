"""What a task of PERF.md's standard agent costs in DynamoDB, on moto: requests, units and bytes.

Ours is the whole of Ratchet from submission to announcement, on the policy `react`, which makes one step of each cycle
as PERF.md counts; the default `plan_act` adds planning and final steps and has a row of its own.
"""

import functools
from collections.abc import Callable
from typing import Any, cast

from botocore.session import Session

from ratchet.app.agents import AgentDirectory
from ratchet.app.announce_task import AnnounceTask
from ratchet.app.dispatch_task import DispatchTask
from ratchet.app.execute_step import ExecuteStep
from ratchet.app.submit_task import SubmitTask
from ratchet.contracts.messages import Doorbell, StepOutput, TaskRef
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain import keys
from ratchet.session_ports import SessionStore
from ratchet.testing.announcers import RecordingAnnouncer
from ratchet.testing.chat import ScriptedChat
from ratchet.testing.clock import SequentialIds
from ratchet.testing.queue import InMemoryInbox
from ratchet.testing.workflow import InMemoryWorkflow
from tests.bench import naive
from tests.bench.agent_loop import agents, run_steps, sandbox
from tests.bench.metering import Meter, Tally
from tests.bench.standard import GOAL, chat_messages, script
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import DynamoDbBench
from tests.contract.store.wire import item_bytes

MODEL_SECONDS = 3.0
MARK = "probe: append zlib (the mark)"
BASELINES: dict[str, Callable[[Any], tuple[naive.Keeper, bool]]] = {
    "naive, each step": lambda client: (naive.WholeHistory(client), True),
    "naive, once per cycle": lambda client: (naive.WholeHistory(client), False),
    "probe: append": lambda client: (naive.AppendItems(client, deflated=False), False),
    MARK: lambda client: (naive.AppendItems(client), False),
}


class Life:
    """One task from its submission to its announcement, each part under its own name on the meter."""

    def __init__(self, bench: DynamoDbBench, cycles: int, policy: str) -> None:
        self._bench = bench
        self._policy = policy
        self._chat = ScriptedChat(script(cycles))
        self._workflow = InMemoryWorkflow()
        self.meter = Meter(bench.client, bench.table)
        self.states: list[StepOutput] = []

    def run(self, *, warm: bool) -> None:
        """Submit, dispatch, run all steps (in one sandbox when `warm`, else each in a new one), announce."""
        store, clock = self._bench.store, self._bench.clock
        with self.meter.phase("submit"):
            ref = self._submitted()
        with self.meter.phase("dispatch"):
            DispatchTask(store, self._workflow, clock)(Doorbell(ref))
        first = self._workflow.input_of(ref, 1)
        kept = self._sandbox()
        with self.meter.phase("steps"):
            self.states.append(first)
            for state in run_steps(first, lambda: kept if warm else self._sandbox()):
                clock.advance(MODEL_SECONDS)
                self.states.append(state)
        with self.meter.phase("announce"):
            AnnounceTask(store, (RecordingAnnouncer("sns"),), clock)(Doorbell(ref))

    def _submitted(self) -> TaskRef:
        clock = self._bench.clock
        submit = SubmitTask(
            store=cast("SessionStore", self._bench.store),
            inbox=InMemoryInbox(),
            agents=AgentDirectory(agents(self._policy).manifest(), default="standard"),
            clock=clock,
            ids=SequentialIds(),
            check_webhook=lambda _url: None,
        )
        return submit(TaskRequest(goal=GOAL), tenant="acme").task.ref

    def _sandbox(self) -> ExecuteStep:
        store, clock = self._bench.store, self._bench.clock
        return sandbox(store, self._chat, clock=clock, policy=self._policy)


def ours(cycles: int, *, warm: bool, policy: str = "react") -> tuple[dict[str, Tally], int]:
    """What each part of our task's life takes, and how many steps it has."""
    life, _ = _lived(cycles, warm, policy)
    return life.meter.phases, len(life.states) - 1


def states(cycles: int, *, policy: str = "react") -> list[StepOutput]:
    """What the state machine is told: the execution's input, then each step's output."""
    return _lived(cycles, False, policy)[0].states


def item_sizes(cycles: int) -> list[int]:
    """The bytes of each step's item."""
    return _lived(cycles, True, "react")[1]


@functools.cache
def _lived(cycles: int, warm: bool, policy: str) -> tuple[Life, list[int]]:
    with mocked_aws():
        bench = DynamoDbBench()
        life = Life(bench, cycles, policy)
        life.run(warm=warm)
        assert bench.payload_keys() == []
        steps = [i for i in bench.items() if i["sk"]["S"].startswith(keys.STEP_PREFIX)]
        sizes = [item_bytes(item) for item in steps]
        bench.close()
    return life, sizes


def whole(phases: dict[str, Tally]) -> Tally:
    """All parts together."""
    return sum(phases.values(), Tally())


def checkpoints(phases: dict[str, Tally]) -> Tally:
    """What the probes do too: the task's first item, and the steps. Without status, indexes and announcement."""
    both = phases["submit"] + phases["steps"]
    both.index_units = 0
    return both


@functools.cache
def theirs(name: str, cycles: int) -> Tally:
    """What a baseline takes, fresh for each step."""
    with mocked_aws():
        client: Any = Session().create_client("dynamodb")
        with naive.naive_table(client):
            meter = Meter(client, naive.TABLE)
            keeper, each = BASELINES[name](client)
            conversation = chat_messages(cycles)
            steps = naive.each_message(conversation) if each else conversation
            with meter.phase("all"):
                for _ in naive.run(keeper, steps, fresh=True):
                    pass
    return meter.phases["all"]
