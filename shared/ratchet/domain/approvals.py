"""What a person approves is one exact action, named by its digest: nothing else is done in its place. Pure."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import ApprovalAnswer, Json
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import HeldCall, Paused, StepRecord

ASK_HUMAN = "ask_human"
"""The built-in tool by which an agent asks a person; its result is the answer."""


def held_call(ref: TaskRef, call: ToolCall, *, step: int, version: str) -> HeldCall:
    """A call that an agent of this version asked for in this step, as people are asked about it."""
    arguments = canonical(call.arguments)
    digest = action_digest(ref, (step, call.id, call.name, arguments), version=version)
    return HeldCall(call.id, call.name, arguments, step, digest)


def edited(ref: TaskRef, call: HeldCall, arguments: str, *, version: str) -> HeldCall:
    """The call with other arguments, in their canonical form."""
    action = (call.step, call.call_id, call.tool, arguments)
    digest = action_digest(ref, action, version=version)
    return HeldCall(call.call_id, call.tool, arguments, call.step, digest)


def digest_of(ref: TaskRef, call: HeldCall, *, version: str) -> str:
    """The digest that this call has, whatever it says itself."""
    action = (call.step, call.call_id, call.tool, canonical(call.arguments))
    return action_digest(ref, action, version=version)


def action_digest(ref: TaskRef, action: tuple[int, str, str, str], *, version: str) -> str:
    """SHA-256 of who (tenant, task, agent version) does what (step, call id, tool, canonical arguments)."""
    text = json.dumps([ref.tenant, ref.task_id, *action, version])
    return hashlib.sha256(text.encode()).hexdigest()


def canonical(arguments: str) -> str:
    """JSON text in one form: the same for all texts that mean the same to a tool."""
    try:
        value = json.loads(arguments or "{}")
    except ValueError:
        return arguments
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()


def value_of(arguments: str) -> Json:
    """The arguments as people read them; what JSON has no word for, such as NaN, is a string."""
    try:
        value: Json = json.loads(arguments, parse_constant=str)
    except ValueError:
        return arguments
    return value


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person let happen: the action of this digest, which is not what the agent asked for if it was edited."""

    digest: str
    is_edit: bool


def approval_of(records: Sequence[StepRecord], call: HeldCall) -> Approval | None:
    """What a person let happen in answer to this call; None if nobody did."""
    asked = {
        interrupt.id: interrupt.call
        for record in records
        if isinstance(record.next, Paused)
        for interrupt in record.next.interrupts
    }
    for decision in (r.result.decision for r in records if r.result.decision is not None):
        about = asked.get(decision.interrupt_id)
        if about is None or (about.step, about.call_id) != (call.step, call.call_id):
            continue
        if decision.answer == ApprovalAnswer.APPROVE:
            return Approval(about.digest, is_edit=False)
        if decision.answer == ApprovalAnswer.EDIT:
            return Approval(decision.digest, is_edit=True)
    return None
