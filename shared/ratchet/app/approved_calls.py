"""Make the calls that people have approved: exactly those, each once, and without asking a model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ratchet.app.tool_runner import PlannedCall, ToolResults
from ratchet.contracts.errors import EffectOutcomeUnknown
from ratchet.contracts.names import Complexity, Purpose, StepType
from ratchet.domain.agent import Agent
from ratchet.domain.approvals import approval_of, digest_of
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.steps import HeldCall, StepPlan, StepResult, ToolRun
from ratchet.domain.task import History
from ratchet.domain.tools import ToolArgumentsInvalid

NOT_APPROVED = (
    "error: not called: it is not the action that a person approved, since the agent was changed in between; "
    "ask for it again if it is still needed"
)
EDITED = "[ratchet:edited] A person changed the arguments of this call to"


@dataclass(frozen=True, slots=True)
class ApprovedCalls:
    """The approved calls of a step: what can be made of them, and the answers to those that cannot be made any more."""

    planned: tuple[PlannedCall, ...]
    refused: tuple[tuple[HeldCall, str], ...]
    edited: frozenset[str]

    @classmethod
    def of(cls, history: History, agent: Agent, calls: Sequence[HeldCall]) -> "ApprovedCalls":
        """The calls, in the order in which the agent asked for them."""
        asked = [c.id for message in history.messages for c in message.tool_calls]
        places = {call_id: place for place, call_id in enumerate(asked)}
        planned: list[PlannedCall] = []
        refused: list[tuple[HeldCall, str]] = []
        edited: set[str] = set()
        for call in sorted(calls, key=lambda c: places.get(c.call_id, 0)):
            found = _checked(history, agent, call)
            if isinstance(found, str):
                refused.append((call, found))
                continue
            planned.append(found)
            approval = approval_of(history.records, call)
            if approval is not None and approval.is_edit:
                edited.add(call.call_id)
        return cls(tuple(planned), tuple(refused), frozenset(edited))

    @property
    def message(self) -> Message:
        """The message that would ask for what is about to be made."""
        return Message("assistant", None, tuple(planned.call for planned in self.planned))

    def check(self, begun: StepPlan | None) -> None:
        """That these are the calls which an attempt before this one has begun.

        Raises:
            EffectOutcomeUnknown: the agent that is deployed now cannot go on with them.
        """
        if begun is not None and begun.message != self.message:
            raise EffectOutcomeUnknown(
                "calls that a person had approved were begun when their step was interrupted, and the agent that is "
                "deployed now cannot go on with them"
            )

    def result(self, tools: ToolResults, complexity: Complexity) -> StepResult:
        """What the step adds to the conversation: the results, which complete the message that asked for the calls."""
        refused = [Message("tool", text, tool_call_id=call.call_id) for call, text in self.refused]
        runs = [ToolRun(call.call_id, call.tool, False, 0) for call, _ in self.refused]
        return StepResult(
            StepType.TOOL_DISPATCH,
            complexity,
            messages=(*map(self._told, tools.messages), *refused),
            tool_runs=(*tools.runs, *runs),
            purpose=Purpose.CALLS,
            untrusted=any(call.tool.untrusted for call in self.planned),
        )

    def _told(self, message: Message) -> Message:
        """An agent has to know that its call was changed: its own message still says the old arguments."""
        if message.tool_call_id not in self.edited:
            return message
        arguments = next(
            c.call.arguments for c in self.planned if c.call.id == message.tool_call_id
        )
        return replace(message, content=f"{EDITED} {arguments}\n{message.content}")


def _checked(history: History, agent: Agent, call: HeldCall) -> PlannedCall | str:
    """The call, if it is the very action that was approved; else what to answer to the agent."""
    digest = digest_of(history.task.ref, call, version=agent.version)
    approval = approval_of(history.records, call)
    if approval is None or approval.digest != digest:
        return NOT_APPROVED
    tool = agent.toolbox.get(call.tool)
    if tool is None:
        return NOT_APPROVED
    try:
        arguments = tool.parse(call.arguments)
    except ToolArgumentsInvalid as exc:
        return f"error: a person changed the arguments to {call.arguments[:500]}: {exc}"
    return PlannedCall(ToolCall(call.call_id, call.tool, call.arguments), tool, arguments)
