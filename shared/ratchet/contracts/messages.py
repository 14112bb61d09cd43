"""What travels through SQS and Step Functions: ids and counters, never content.

Parsed by hand, not by pydantic: dispatcher and deliverer start without it.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Self

from ratchet.contracts.charge import NO_CHARGE, Charge
from ratchet.contracts.names import Action, Complexity, StepType
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.contracts.step_failure import failure_text

SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}")
"""What tenants, tasks and sessions may be called: such text stays in its place in a key."""
_NOT_OURS = (KeyError, TypeError, ValueError, OverflowError)


class MalformedMessage(InvalidRequest):
    """A queue message or state input is not one of ours; retrying cannot help."""

    code = "malformed_message"


@dataclass(frozen=True, slots=True)
class TaskRef:
    """Names one task of one tenant."""

    tenant: str
    task_id: str


@dataclass(frozen=True, slots=True)
class Doorbell:
    """The body of both queues' messages: look at this task.

    `generation` counts the executions of a task: the dispatcher starts that one, unless it has been started.
    """

    task: TaskRef
    generation: int = 1

    def to_json(self) -> str:
        """The message body."""
        return json.dumps(
            {
                "tenant": self.task.tenant,
                "task_id": self.task.task_id,
                "generation": self.generation,
            }
        )

    @classmethod
    def from_json(cls, body: str) -> Self:
        """Parse a message body.

        Raises:
            MalformedMessage: the body is not a JSON object with both ids.
        """
        try:
            data = json.loads(body)
            generation = int(data.get("generation", 1)) if isinstance(data, dict) else 1
        except _NOT_OURS as exc:
            raise MalformedMessage(f"not one of our messages: {exc}") from exc
        return cls(TaskRef(_text(data, "tenant"), _text(data, "task_id")), generation)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a task has been given of its tenant's day: up to what it may be charged over its life.

    `owner` is whose word that is: the attempt that drew last, or the end that gave back.
    """

    day: str
    ceiling_microusd: int
    owner: str

    def covers(self, day: str, microusd: int) -> bool:
        """Whether the task may be charged so much, this day."""
        return self.day == day and microusd <= self.ceiling_microusd

    def to_list(self) -> list[str | int]:
        """As it stands in `$.step`; its constructor takes the same, in the same order."""
        return [self.day, self.ceiling_microusd, self.owner]


@dataclass(frozen=True, slots=True)
class StepRef:
    """The step to run next: `$.step` in the state machine. `place` is held in a provider's quota meanwhile."""

    number: int
    type: StepType
    complexity: Complexity
    waits: int = 0
    waited_seconds: int = 0
    place: str = ""
    lost: Charge = NO_CHARGE  # at the step before, by attempts that its record does not know of
    allowance: Allowance | None = None  # as it last was; of a tenant with a daily cap

    def to_dict(self) -> dict[str, object]:
        """The JSON object that the state machine routes on."""
        place = {"place": self.place} if self.place else {}
        return {
            **place,
            "number": self.number,
            "type": self.type.value,
            "complexity": self.complexity.value,
            "waits": self.waits,
            "waited_seconds": self.waited_seconds,
            **({"lost_microusd": self.lost.microusd} if self.lost.microusd else {}),
            **({"lost_tokens": self.lost.tokens} if self.lost.tokens else {}),
            **({} if self.allowance is None else {"allowance": self.allowance.to_list()}),
        }

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Parse `$.step`.

        Raises:
            MalformedMessage: a field is missing or unknown.
        """
        try:
            return cls(
                number=int(data["number"]),
                type=StepType(data["type"]),
                complexity=Complexity(data["complexity"]),
                waits=int(data.get("waits", 0)),
                waited_seconds=int(data.get("waited_seconds", 0)),
                place=str(data.get("place", "")),
                lost=Charge(int(data.get("lost_microusd", 0)), int(data.get("lost_tokens", 0))),
                allowance=Allowance(*data["allowance"]) if "allowance" in data else None,
            )
        except _NOT_OURS as exc:
            raise MalformedMessage(f"not a step: {exc!r}") from exc


@dataclass(frozen=True, slots=True)
class ExecutionRef:
    """Which execution of the task this is, and the step it began with: `$.execution` in the state machine."""

    generation: int = 1
    first_step: int = 1
    version: str | None = None  # of the state machine that it runs, where one is known
    restarts: int = 0  # how many dead ones in a row it replaces: they may have spent
    waits: int = 0  # of all its steps so far: what fills its history when its steps do not

    def to_dict(self) -> dict[str, int | str]:
        """The JSON object that travels through the execution; only its waits are counted on."""
        data: dict[str, int | str] = {
            "generation": self.generation,
            "first_step": self.first_step,
        }
        counters = {"restarts": self.restarts, "waits": self.waits}
        data.update({name: count for name, count in counters.items() if count})
        return data if self.version is None else {**data, "version": self.version}

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Parse `$.execution`.

        Raises:
            MalformedMessage: a field is missing or no number.
        """
        try:
            return cls(
                int(data["generation"]),
                int(data["first_step"]),
                data.get("version"),
                int(data.get("restarts", 0)),
                int(data.get("waits", 0)),
            )
        except _NOT_OURS as exc:
            raise MalformedMessage(f"not an execution: {exc!r}") from exc


@dataclass(frozen=True, slots=True)
class Route:
    """The models of one route, preferred first.

    `escalation`: the complex route's, for answers that stay unusable. `cheaper`: the simple route's, for when no model
    of this one can be paid for any more. With `sticky`, a step may stay with a model of the complex route that has read
    its prompt when that is cheaper.
    """

    name: str
    models: tuple[str, ...]
    escalation: tuple[str, ...] = ()
    cheaper: tuple[str, ...] = ()
    sticky: bool = True

    def to_dict(self) -> dict[str, str | bool | list[str]]:
        """The constant part of a Task state's Parameters."""
        return {
            "name": self.name,
            "models": list(self.models),
            "escalation": list(self.escalation),
            "cheaper": list(self.cheaper),
            **({} if self.sticky else {"sticky": False}),
        }

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """The inverse of `to_dict`."""
        lists = {name: tuple(data.get(name, ())) for name in ("models", "escalation", "cheaper")}
        return cls(str(data["name"]), **lists, sticky=bool(data.get("sticky", True)))


@dataclass(frozen=True, slots=True)
class StepInput:
    """One invocation of step_executor, as the state machine's Task states build it."""

    task: TaskRef
    step: StepRef
    route: Route | None = None
    execution: ExecutionRef = ExecutionRef()
    attempt: int = 0
    failure: str | None = field(default=None)  # set by the Catch: why the state machine gave up

    @staticmethod
    def task_of(event: Any) -> TaskRef:
        """The task that a state input names.

        Raises:
            MalformedMessage: it names none.
        """
        return TaskRef(_text(event, "tenant"), _text(event, "task_id"))

    @classmethod
    def from_event(cls, event: Any) -> Self:
        """Parse the Lambda event.

        Raises:
            MalformedMessage: the event is not what our state machine sends.
        """
        task = cls.task_of(event)
        step = StepRef.from_dict(event.get("step"))
        execution = ExecutionRef.from_dict(event.get("execution"))
        try:
            attempt = int(event.get("attempt") or 0)
            cause = failure_text(event.get("failure"))
            route = event.get("route")
            if isinstance(route, dict) and route.get("models"):
                return cls(task, step, Route.from_dict(route), execution, attempt, cause)
        except (AttributeError, *_NOT_OURS) as exc:
            raise MalformedMessage(f"not a state of ours: {exc!r}") from exc
        if cause is None:
            raise MalformedMessage("the state input has no route")
        return cls(task, step, None, execution, attempt, cause)


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What step_executor returns: the next state of the execution, ids and counters only.

    `$.tries` counts the attempts at the step that broke off after they may have spent money.
    """

    task: TaskRef
    action: Action
    step: StepRef
    execution: ExecutionRef = ExecutionRef()
    wait_seconds: int = 0
    status: str | None = None
    attempts: int = 0  # of the same step, when it is to be run once more

    def to_dict(self) -> dict[str, object]:
        """The state's output (and the first input of an execution)."""
        data: dict[str, object] = {
            "tenant": self.task.tenant,
            "task_id": self.task.task_id,
            "action": self.action.value,
            "step": self.step.to_dict(),
            "execution": self.execution.to_dict(),
            "tries": {"count": self.attempts},
        }
        if self.action is Action.ROLL_OVER:
            data["next_generation"] = self.execution.generation + 1
        if self.action is Action.WAIT:
            data["wait_seconds"] = self.wait_seconds
        if self.status is not None:
            data["status"] = self.status
        return data


def _text(data: Any, name: str) -> str:
    value = data.get(name) if isinstance(data, dict) else None
    if not isinstance(value, str) or not SAFE_ID.fullmatch(value):
        raise MalformedMessage(f"{name!r} is missing, or is no id")
    return value
