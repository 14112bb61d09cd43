"""kill -9 of the whole stack, and of its parts at random moments, while tasks run. The store is on disk.

`RATCHET_KILLS` says how many random kills there are, and `RATCHET_KILLS_SEED` which.
"""

import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from ratchet.local.endpoint import Endpoint
from ratchet.testing.model_faults import Fault, FaultKind
from ratchet.testing.model_server import ModelServer
from tests.e2e.dev_process import Dev, dev, kill
from tests.e2e.goals import RESEARCH_STEPS, refund, research
from tests.e2e.stage import TERMINAL, Json, api_client
from tests.e2e.waiting import wait_until
from tests.figures import Tell

pytestmark = pytest.mark.usefixtures("no_stage")

KILLS = int(os.environ.get("RATCHET_KILLS", "5"))
SEED = int(os.environ.get("RATCHET_KILLS_SEED", "1"))
SWEEP_EVERY_SECONDS = 2.0
MODEL_CALLS = 2 * RESEARCH_STEPS + 5  # of a round's tasks
LONGEST_SECONDS = 0.1  # a step of the script runs about as long
REFUNDABLE = ("A-1001", "A-1004", "A-1007", "A-1008")
ONCE = Counter(range(RESEARCH_STEPS))
WHOLE, STEPS, QUEUES = "the stack", "the step executor", "the queues' functions"
KINDS = (STEPS, QUEUES, STEPS, WHOLE, STEPS)
FUNCTIONS = {STEPS: ("StepExecutor",), QUEUES: ("Dispatcher", "Deliverer")}


class Life:
    """A stack that dies and comes back with the same state; its model lives on."""

    def __init__(self, folder: Path, models: ModelServer) -> None:
        self.models = models
        self.ledger = folder / "state" / "example-refunds.jsonl"
        self._folder = folder
        self._open = ExitStack()
        self._dev: Dev | None = None
        self.asked_people: set[str] = set()

    @property
    def dev(self) -> Dev:
        """The process that runs now."""
        assert self._dev is not None
        return self._dev

    def start(self) -> None:
        """Start the stack where it was."""
        env = {"OPENAI_BASE_URL": self.models.base_url, "OPENAI_API_KEY": "any"}
        self._dev = self._open.enter_context(dev(self._folder, "--state", "state", env=env))
        ready = self._dev.ready
        self._http = self._open.enter_context(api_client(ready["api_url"], ready["api_key"]))
        self._aws = Endpoint(ready["endpoint_url"], region=ready["region"], account="123456789012")
        self._open.callback(self._aws.close)

    def kill(self) -> None:
        """kill -9 of the stack with all its workers."""
        self.dev.kill()
        self.close()

    def close(self) -> None:
        """End the stack."""
        self._open.close()

    def submit(self, goal: str, **fields: Json) -> str:
        """Submit a goal; the task's id."""
        answer = self._http.post("/v1/tasks", json={"goal": goal, **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["task_id"])

    def task(self, task_id: str) -> Json:
        """The task as it stands."""
        return self._http.get(f"/v1/tasks/{task_id}").raise_for_status().json()

    def steps(self, task_id: str) -> list[Json]:
        """Its timeline."""
        found: list[Json] = self._http.get(f"/v1/tasks/{task_id}/steps").json()["steps"]
        return found

    def outcomes(self, task_ids: list[str]) -> dict[str, Json]:
        """The tasks once they have ended, and are announced; the sweeper comes as often as it takes."""
        begun = 0.0

        def all_done() -> bool:
            nonlocal begun
            left = self._left(task_ids)
            for task_id, head in left.items():
                if head["status"]["S"] == "input_required":
                    self._look(task_id)
            if left and time.monotonic() - begun > SWEEP_EVERY_SECONDS:
                self._sweep(left)
                begun = time.monotonic()
            return not left

        wait_until(all_done, f"the end of {task_ids}")
        return {task_id: self.task(task_id) for task_id in task_ids}

    def refunds(self) -> Counter[str]:
        """How often the unsafe tool was called, by task."""
        text = self.ledger.read_text(encoding="utf-8") if self.ledger.exists() else ""
        return Counter(json.loads(line)["task_id"] for line in text.splitlines())

    def asked_per_turn(self, word: str) -> Counter[int]:
        """How often the model was asked about a goal, by turn."""
        found = (r for r in self.models.requests() if f"{word}:" in str(r.messages[1:2]))
        return Counter(request.turn for request in found)

    def _look(self, task_id: str) -> None:
        """A person finds out whether the refund was paid, and says so."""
        answer = "happened" if self.refunds()[task_id] else "did_not_happen"
        for asked in self.task(task_id)["interrupts"]:
            path = f"/v1/tasks/{task_id}/interrupts/{asked['id']}"
            self._http.post(path, json={"answer": answer}).raise_for_status()
            self.asked_people.add(task_id)

    def _left(self, task_ids: list[str]) -> dict[str, Json]:
        """The heads of those that have not ended, or are not announced."""
        dynamodb, table = self._aws.client("dynamodb"), self.dev.ready["table"]
        found = {i: dynamodb.get_item(TableName=table, Key=_head_key(i))["Item"] for i in task_ids}
        return {task_id: head for task_id, head in found.items() if not _is_done(head)}

    def _sweep(self, heads: Mapping[str, Json]) -> None:
        """Let a minute, or five, pass for these tasks."""
        dynamodb = self._aws.client("dynamodb")
        for task_id, head in heads.items():
            with suppress(dynamodb.exceptions.ConditionalCheckFailedException):  # it has gone on
                dynamodb.update_item(
                    TableName=self.dev.ready["table"],
                    Key=_head_key(task_id),
                    UpdateExpression="SET due_at = :now",
                    ConditionExpression="due_at = :seen",
                    ExpressionAttributeValues={":now": {"N": "1"}, ":seen": head["due_at"]},
                )
        sweeper = next(n for n in self.dev.ready["function_names"] if "Sweeper" in n)
        answer = self._aws.client("lambda").invoke(FunctionName=sweeper, Payload=b"{}")
        assert "FunctionError" not in answer, answer["Payload"].read()


@pytest.fixture(scope="module")
def models() -> Iterator[ModelServer]:
    with ModelServer.start() as running:
        yield running


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory, models: ModelServer) -> Iterator[Life]:
    life = Life(tmp_path_factory.mktemp("lives"), models)
    life.start()
    yield life
    life.close()


def test_a_killed_stack_goes_on_where_each_of_its_tasks_was(life: Life) -> None:
    life.outcomes([done := life.submit(research("kill-done"))])
    held = {"kill-plan": 0, "kill-act": 2, "kill-final": RESEARCH_STEPS - 1}
    before, after = ("kill-before-refund", "A-1001"), ("kill-after-refund", "A-1004")
    for word, turn in {**held, before[0]: 1, after[0]: 3}.items():
        life.models.inject(Fault(kind=FaultKind.TIMEOUT, goal=re.compile(f"{word}:"), turn=turn))
    ids = {word: life.submit(research(word)) for word in held}
    ids |= {
        word: life.submit(refund(word, order), agent="support") for word, order in (before, after)
    }
    turns = {**held, before[0]: 1, after[0]: 3}
    wait_until(
        lambda: all(life.asked_per_turn(word)[turn] for word, turn in turns.items()),
        "a held model call of every task",
    )
    committed = {word: life.steps(task_id) for word, task_id in ids.items()}
    assert {word: len(steps) for word, steps in committed.items()} == turns
    assert life.refunds() == Counter([ids[after[0]]])
    life.kill()
    life.start()
    tasks = life.outcomes([done, *ids.values()])
    assert {task["status"] for task in tasks.values()} == {"succeeded"}
    for word, steps in committed.items():
        assert life.steps(ids[word])[: len(steps)] == steps
        asked = life.asked_per_turn(word)
        assert asked - Counter(set(asked)) == Counter([turns[word]]), "only the step it died in"
    assert life.asked_per_turn("kill-done") == ONCE
    assert life.refunds() == Counter([ids[before[0]], ids[after[0]]])


def test_random_kills_lose_nothing_and_do_nothing_twice(life: Life, tell: Tell) -> None:
    dice = random.Random(SEED)
    ended: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    died = repeated = moved = 0
    for number in range(KILLS):
        kind = KINDS[number % len(KINDS)]
        life.ledger.unlink(missing_ok=True)  # every order can be refunded again
        before = len(life.models.requests())
        words = [f"random-{number}-a", f"random-{number}-b"]
        ids = {word: life.submit(research(word)) for word in words}
        paid = life.submit(refund(f"random-{number}-c", dice.choice(REFUNDABLE)), agent="support")
        # The moment itself is what is random: after so many model calls, and a moment more.
        calls = dice.randrange(MODEL_CALLS)
        wait_until(partial(_has_asked, life.models, before + calls), f"{calls} model calls")
        Event().wait(dice.uniform(0, LONGEST_SECONDS))
        if kind == WHOLE:
            life.kill()
            life.start()
        else:
            workers = life.dev.workers_of(*FUNCTIONS[kind])
            died += len(workers)
            kill(workers)
        tasks = life.outcomes([*ids.values(), paid])
        for word, task_id in ids.items():
            assert tasks[task_id]["status"] == "succeeded", (SEED, number, kind, tasks[task_id])
            assert [s["number"] for s in life.steps(task_id)] == list(range(1, RESEARCH_STEPS + 1))
            again = life.asked_per_turn(word) - ONCE
            assert again.total() <= 1, (SEED, number, kind, "one kill interrupts one step")
            repeated += again.total()
            moved += len([s for s in life.steps(task_id) if s["attempt"]])
        outcome = _outcome(tasks[paid])
        is_asked = paid in life.asked_people
        assert life.refunds()[paid] == 1 or is_asked, (SEED, number)
        assert life.refunds()[paid] <= 1, (SEED, number, kind)
        assert outcome == "succeeded", (SEED, number, tasks[paid])
        ended["after a person looked" if is_asked else outcome] += 1
        kinds[kind] += 1
    tell(
        f"{KILLS} kills, seed {SEED}: {dict(kinds)}; {3 * KILLS} tasks; {died} sandboxes died, "
        f"{moved} steps were committed by a later attempt, {repeated} model calls repeated; "
        f"refunds: {dict(ended)}"
    )


def _has_asked(models: ModelServer, calls: int) -> bool:
    return len(models.requests()) >= calls


def _outcome(task: Json) -> str:
    return str(task["error"]["code"] if task["error"] else task["status"])


def _head_key(task_id: str) -> dict[str, Any]:
    return {"pk": {"S": f"TENANT#default#TASK#{task_id}"}, "sk": {"S": "TASK"}}


def _is_done(head: Json) -> bool:
    """Ended, and announced: nothing is due but its erasing."""
    is_far = int(head["due_at"]["N"]) - int(head["updated_at"]["N"]) > 24 * 3600 * 1000
    return head["status"]["S"] in TERMINAL and is_far
