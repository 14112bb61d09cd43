"""Run an agent in memory, through the very use cases that run it on AWS; no network, no waiting, no AWS account.

    harness = AgentHarness(support, [
        "look it up, then refund",                       # the plan (policy plan_act)
        calls("refund", order_id="A-1", amount_usd=5.0),
        "done",                                          # no tool call: the agent goes on to its answer
        Resolution(resolution="refunded"),
    ])
    outcome = harness.run("Refund order A-1.")
    assert outcome.status == "succeeded"

The tools are the team's own code and run for real. The model is a list of answers (text, an output object, tool
calls, a ModelError), a function of the `ModelCall`, or a `ChatModel`, such as `RecordedChat`. The same prompt gets the
same answer. Each run has a store and a clock of its own, on which waits and retries take no time; task ids count on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from ratchet.contracts.names import Json, TaskStatus
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.agent import Agent
from ratchet.domain.models import Usage
from ratchet.domain.steps import End, Failure, StepRecord
from ratchet.domain.task import History
from ratchet.model_ports import ModelCall
from ratchet.testing.answers import Answer, AnswerBook, BookChat, Model, ScriptExhausted, calls
from ratchet.testing.clock import SequentialIds
from ratchet.testing.deployment import Deployment, Recovery, Settings
from ratchet.testing.sandbox import Boundary, ToolUse, Trace

__all__ = ["AgentHarness", "Answer", "Model", "ScriptExhausted", "Settings", "TaskOutcome", "calls"]


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """How a task ended, and what it took. `tool_calls` are those that reached a tool's code, in their order.

    `remembered` is what memory holds at the end, by namespace and key.
    """

    status: TaskStatus
    output: Json
    failure: Failure | None
    steps: tuple[StepRecord, ...]
    cost_microusd: int
    usage: Usage
    tool_calls: tuple[ToolUse, ...]
    model_calls: int
    remembered: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)

    @property
    def lost_microusd(self) -> int:
        """The part of the cost that lost attempts may have caused; 0 when nothing goes wrong."""
        return sum(record.result.lost.microusd for record in self.steps)


@dataclass(frozen=True, slots=True)
class Kill:
    """Where a sandbox is to die, and who goes on after it."""

    boundary: Boundary
    recovery: Recovery = Recovery.RETRY

    def __str__(self) -> str:
        return f"The sandbox died {self.boundary}; {self.recovery.story}."


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything about one run that another one can be compared with."""

    outcome: TaskOutcome
    boundaries: tuple[Boundary, ...]
    prompts: Mapping[str, ModelCall]
    asked: Mapping[str, int]
    book: AnswerBook
    died_at: Boundary | None
    unknown_effects: frozenset[str]
    effects: object = None


@dataclass(frozen=True, slots=True)
class Scene:
    """A goal for an agent, ready to be played as often as one likes."""

    agent: Agent
    book: AnswerBook
    request: TaskRequest
    settings: Settings
    ids: Callable[[], SequentialIds] = SequentialIds
    effects: Callable[[], object] | None = None

    def play(self, kill: Kill | None = None, like: Observation | None = None) -> Observation:
        """Run the task once. `like` an earlier run: with its answers, and no prompts but its own.

        Raises:
            UnknownPrompt: this run asks the model something else than the one it should be like.
        """
        book = self.book if like is None else like.book
        chat = BookChat(book, None if like is None else like.prompts)
        trace = Trace(None if kill is None else kill.boundary)
        recovery = Recovery.RETRY if kill is None else kill.recovery
        deployment = Deployment(
            self.agent, chat, trace, settings=self.settings, ids=self.ids(), recovery=recovery
        )
        history = deployment.run(self.request)
        return Observation(
            outcome=replace(_outcome(history, trace, chat), remembered=deployment.remembered()),
            boundaries=trace.boundaries,
            prompts=chat.asked,
            asked=chat.times,
            book=book,
            died_at=trace.died_at,
            unknown_effects=trace.unknown_effects,
            effects=None if self.effects is None else self.effects(),
        )


class Director(Protocol):
    """Decides how the runs of a harness are played; the pytest plugin's lets them crash."""

    def direct(self, scene: Scene) -> TaskOutcome:
        """Play the scene."""
        ...


class AgentHarness:
    """Runs one agent. `settings` for another routing table, model patience or roll-over; `director` is the plugin's."""

    def __init__(
        self,
        agent: Agent,
        model: Model,
        *,
        settings: Settings | None = None,
        director: Director | None = None,
    ) -> None:
        self._agent = agent
        self._book = AnswerBook(model)
        self._settings = settings or Settings()
        self._director = director
        self._runs = 0

    def run(self, goal: str, **request: object) -> TaskOutcome:
        """Submit the goal, with any other field of `POST /v1/tasks`, and run the task to its end.

        Raises:
            ScriptExhausted: the agent asked more than the script has answers for.
        """
        body = TaskRequest.model_validate({"goal": goal, **request})
        earlier, self._runs = self._runs, self._runs + 1
        scene = Scene(self._agent, self._book, body, self._settings, ids=lambda: _ids(earlier))
        if self._director is not None:
            return self._director.direct(scene)
        return scene.play().outcome


def _ids(runs_before: int) -> SequentialIds:
    """Ids of the next task: other idempotency keys than those of the runs before, the same in every repetition."""
    ids = SequentialIds()
    for _ in range(runs_before):
        ids.task_id()
    return ids


def _outcome(history: History, trace: Trace, chat: BookChat) -> TaskOutcome:
    end = history.next
    return TaskOutcome(
        status=history.state.status,
        output=end.output if isinstance(end, End) else None,
        failure=end.failure if isinstance(end, End) else None,
        steps=history.records,
        cost_microusd=history.totals.cost_microusd,
        usage=history.totals.usage,
        tool_calls=tuple(trace.tool_uses),
        model_calls=sum(chat.times.values()),
    )
