"""History compaction: when it is due, what the model is asked for, and what the step that does it leaves behind.

From then on the prompt is the instructions, the goal, this step's messages and those after it. Decisions are pure
functions of agent, history and route, so every attempt at a step takes the same one.
"""

from collections.abc import Sequence
from dataclasses import replace

from ratchet.contracts import limits
from ratchet.contracts.names import Purpose, StepType
from ratchet.domain.agent import Agent
from ratchet.domain.messages import BYTES_PER_TOKEN, Message, message_bytes
from ratchet.domain.prompt import Prompt
from ratchet.domain.steps import Step

DIRECTIVE = (
    "[ratchet:compaction] The conversation up to here, but for the goal, is replaced by your answer to this message. "
    "Write down all that is needed to go on without it: what was established, what was done and with which outcome, "
    "what was decided and why, what is left of the plan, what is open. Keep ids, names, figures and sources exactly "
    "as they are. Do not call tools, and do not begin with what comes next."
)
GO_ON = "[ratchet:continue] Go on with the task from there."
"""After the summary: a prompt that ends with the model's own words would ask some providers to complete them."""

ADVICE = (
    "summarizing the history cannot shorten it any further: route the step to a model with a larger context window, "
    "or shorten the goal, the instructions, or what the tools return"
)


def step_before(step: Step) -> Step:
    """The compaction that makes room for a step."""
    return Step(StepType.REASONING, step.complexity, Purpose.COMPACTION)


def messages_of(summary: Message) -> tuple[Message, ...]:
    """What a compaction adds to the conversation."""
    return Message("user", DIRECTIVE), summary, Message("user", GO_ON)


def threshold(agent: Agent, windows: Sequence[int]) -> int | None:
    """From how many tokens on a prompt is too long for models with these context windows; None when there are none."""
    if agent.compact_at_tokens is not None:
        return agent.compact_at_tokens
    return min(windows) * limits.COMPACT_AT_PERCENT // 100 if windows else None


def is_due(prompt: Prompt, fresh: Sequence[Message], *, threshold: int | None) -> bool:
    """Whether the history of this prompt is summarized first; `fresh` is what was added since the last summary.

    Without enough of it a compaction would shorten little, and the next would be due at once.
    """
    if threshold is None or prompt.estimated_tokens() < threshold:
        return False
    replaced = sum(map(message_bytes, fresh)) // BYTES_PER_TOKEN
    return replaced * 100 >= threshold * limits.MIN_REPLACED_PERCENT


def shortened(prompt: Prompt, *, threshold: int | None) -> Prompt:
    """The prompt with tool results cut, for one call whose model cannot take it whole.

    The longer ones are cut first, and of these the oldest, until the prompt is half as long and below the threshold.
    """
    wanted = prompt.estimated_tokens() // 2
    excess = (prompt.estimated_tokens() - min(wanted, threshold or wanted)) * BYTES_PER_TOKEN
    messages = list(prompt.messages)
    for position in _order_of_cutting(messages):
        if excess <= 0:
            break
        cut = _cut(messages[position])
        excess -= message_bytes(messages[position]) - message_bytes(cut)
        messages[position] = cut
    return replace(prompt, messages=tuple(messages))


def _order_of_cutting(messages: Sequence[Message]) -> list[int]:
    results = {
        i: message_bytes(m)
        for i, m in enumerate(messages)
        if m.role == "tool" and len(m.content or "") > limits.CUT_RESULT_CHARS
    }
    mean = sum(results.values()) / max(len(results), 1)
    return sorted(results, key=lambda i: (results[i] < mean, i))


def _cut(result: Message) -> Message:
    text = result.content or ""
    note = f"\n[cut to be summarized: {len(text)} characters in all]"
    return replace(result, content=text[: limits.CUT_RESULT_CHARS] + note)
