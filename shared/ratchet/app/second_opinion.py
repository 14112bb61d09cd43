"""An agent's own check of an answer, a team's code: whatever it raises or returns, the step goes on."""

from ratchet.app.answer_check import Accepted
from ratchet.contracts.names import StepType
from ratchet.domain.agent import Agent
from ratchet.domain.confidence import Answer, Confidence
from ratchet.observability import logger

LOW = "low confidence"


def doubt(agent: Agent, type_: StepType, accepted: Accepted) -> str | None:
    """What the agent's check says against an answer, for the record; None when it says nothing."""
    if agent.check is None or accepted.calls:
        return None
    answer = Answer(type_, accepted.message.content or "", accepted.output)
    try:
        verdict = Confidence(agent.check(answer))
    except Exception as exc:  # noqa: BLE001 - a team's own code: its bug must not cost the answer
        error = type(exc).__name__
        logger.warning("answer check failed", extra={"agent": agent.name, "error": error})
        return f"its check failed: {error}"
    return LOW if verdict is Confidence.LOW else None
