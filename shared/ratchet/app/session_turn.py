"""What an ended task leaves to its session: its goal and its answer, or how far it came. Pure."""

from collections.abc import Sequence

from ratchet.contracts.names import TaskStatus
from ratchet.domain.messages import Message
from ratchet.domain.session import Turn, shortened
from ratchet.domain.steps import End
from ratchet.domain.task import History
from ratchet.ports import Begun

ABORTED = "error: aborted before it gave an answer; whether it happened is not known"
MARK = "[ratchet:session]"


def turn_of(tip: History, begun: Begun | None = None) -> Turn | None:
    """The turn of an ended task; None when its goal is lost.

    A task that succeeded leaves its goal and its last answer. Another one leaves what its steps in `tip` said, the tool
    calls that it had `begun` when it was ended, an answer to each call that has none, and how it ended.
    """
    task, end = tip.task, tip.next
    if not task.goal or not isinstance(end, End):
        return None
    said = [Message("user", task.goal)]
    lost = _lost(tip, begun)
    # Whether the tool of a lost call is trusted is for its agent to say, which is not at hand.
    is_doubtful = any(message.role == "tool" for message in lost)
    untrusted = is_doubtful or task.earlier_untrusted or any(r.untrusted for r in tip.results)
    if end.status is TaskStatus.SUCCEEDED:
        said.append(Message("assistant", tip.records[-1].result.answer))
    else:
        reason = f": {end.failure.message}" if end.failure else ""
        steps = repaired([*tip.messages, *lost])
        last = Message("user", f"{MARK} The task before ended as {end.status.value}{reason}")
        said += [*steps, last]
    return shortened(Turn(task.ref.task_id, tuple(said), untrusted, tip.state.updated_at_ms))


def repaired(messages: Sequence[Message]) -> list[Message]:
    """The messages with an answer to every tool call: a model refuses a history in which one dangles."""
    found: list[Message] = []
    dangling: dict[str, Message] = {}
    for message in messages:
        if message.role == "tool":
            dangling.pop(message.tool_call_id or "", None)
        else:
            found += dangling.values()
            dangling = {c.id: Message("tool", ABORTED, (), c.id) for c in message.tool_calls}
        found.append(message)
    return [*found, *dangling.values()]


def _lost(tip: History, begun: Begun | None) -> list[Message]:
    """The calls of a step that an end overtook, with the answers that are known."""
    if begun is None or begun.plan.message in tip.records[-1].result.messages:
        return []
    known = [i for i in begun.intents.values() if i.result is not None]
    return [begun.plan.message, *(Message("tool", i.result, (), i.call_id) for i in known)]
