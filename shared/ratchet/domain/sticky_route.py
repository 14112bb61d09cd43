"""Whether a step stays with the model that has read its prompt, instead of going to its route's cheaper one.

For a prompt of P tokens, an answer of A tokens, and C calls that are likely to follow each other on that model:

    cost = warm x cached + (P - warm) x input (or cache write)  +  (C - 1) x P x cached  +  C x A x output

`warm` is what the model's cache should hold, cut to the share that this task's caches have served so far. The step
stays when that is cheaper than the same on the route's own model. It only ever stays on a model of the complex route:
it saves money here, never quality. At list prices of 2026, dollars per million tokens (input, cached, output):

    gpt-4o 2.50 1.25 10 -> gpt-4o-mini 0.15 0.075 0.60   never: reading afresh costs less than the cached prefix
    gpt-5 1.25 0.125 10 -> gpt-5-mini  0.25 0.025 2.00   for one call, from 64 tokens of prompt per token of answer
                                                         upward (0.125 P > 8 A); for three in a row never, since the
                                                         cheaper model's cache is warm from its second call on

So it is on by default: it acts seldom, and only where the sum says so. `sticky_prefix: false` in routing.yaml ends it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ratchet.contracts.messages import Route
from ratchet.contracts.names import StepType
from ratchet.domain.models import ModelCatalogue, ModelSpec

CALLS_IN_A_ROW = {
    StepType.PLANNING: 1,
    StepType.REASONING: 3,
    StepType.TOOL_DISPATCH: 3,
    StepType.FINAL_SYNTHESIS: 1,
}
"""How many calls are likely to read the same prefix: who acts acts again, a plan and a final answer come once."""


@dataclass(frozen=True, slots=True)
class Stay:
    """The step is done by `model`; `reason` is what its record says, with the figures."""

    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class Work:
    """What a step is likely to take, on whatever model."""

    prompt_tokens: int
    answer_tokens: int
    calls: int


def stay(
    route: Route, work: Work, *, warm: Callable[[str], int], models: ModelCatalogue
) -> Stay | None:
    """The better model to stay with, if that is cheaper than the route's own; None to follow the route."""
    own = route.models[0]
    if not route.sticky or own not in models:
        return None
    cheapest = expected_microusd(models.spec(own), work, warm=warm(own))
    found = None
    for model in route.escalation:
        tokens = warm(model)
        if model not in models or tokens <= warm(own):
            continue
        cost = expected_microusd(models.spec(model), work, warm=tokens)
        if cost < cheapest:
            reason = (
                f"stays: {tokens} warm tokens make ${cost / 1e6:.6f}, {own} ${cheapest / 1e6:.6f}"
            )
            found, cheapest = Stay(model, reason), cost
    return found


def expected_microusd(spec: ModelSpec, work: Work, *, warm: int) -> int:
    """What the work is likely to cost on a model that has so much of the prompt in its cache, in micro-dollars."""
    price, tokens = spec.price_for(work.prompt_tokens), max(work.prompt_tokens, warm)
    first = warm * price.cached_input + (tokens - warm) * price.dearest_input
    later = (work.calls - 1) * tokens * price.cached_input
    return (first + later + work.calls * work.answer_tokens * price.output) // 1000
