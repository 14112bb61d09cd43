"""What is asked of a deployment, and the steps and tokens of one of its tasks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ratchet.capacity.errors import CapacityError
from ratchet.contracts.limits import MAX_STEPS_CAP
from ratchet.contracts.names import Complexity, StepType
from ratchet.contracts.routing import RoutingTable
from ratchet.domain.models import ModelCatalogue, ModelSpec, Usage

DAYS_PER_MONTH = 365 / 12
SECONDS_PER_DAY = 24 * 3600
MOST = 1_000_000_000
"""Beyond it no figure of a workload means anything."""
MIN_CACHED_TOKENS = 1024
"""Shorter prompts are not cached: https://platform.openai.com/docs/guides/prompt-caching"""
REASONING_SHARE = 0.1
"""Of the steps between plan and answer, how many digest results instead of calling tools."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """One call's tokens; the defaults are PERF.md's standard agent.

    `first_input` is the first prompt, which grows by `growth` with every step. `cached_share` is how much of what the
    same model has seen in the task's earlier steps is billed as cached. `reasoning` comes on top of `output` for
    models that bill their reasoning.
    """

    first_input: int = 1_000
    growth: int = 520
    output: int = 130
    reasoning: int = 500
    cached_share: float = 0.95

    def __post_init__(self) -> None:
        if min(self.first_input, self.growth, self.output, self.reasoning) < 0:
            raise CapacityError("token counts cannot be negative")
        if not 0 <= self.cached_share <= 1:
            raise CapacityError(f"--cached-share must be between 0 and 1, not {self.cached_share}")


@dataclass(frozen=True, slots=True)
class Workload:
    """How many tasks, and what one is like. `mix` weighs step types; empty: as `plan_act` makes them."""

    tasks_per_day: float
    steps: int
    mix: Mapping[StepType, float] = field(default_factory=dict)
    complex_share: float = 0.2
    tokens: Tokens = field(default_factory=Tokens)
    step_seconds: float = 3.0
    peak_factor: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.tasks_per_day <= MOST:
            raise CapacityError(f"--tasks-per-day must be above 0 and at most {MOST:,}")
        if not 1 <= self.steps <= MAX_STEPS_CAP:
            raise CapacityError(f"--steps must be between 1 and {MAX_STEPS_CAP:,}")
        if not 0 <= self.complex_share <= 1:
            raise CapacityError(
                f"--complex-share must be between 0 and 1, not {self.complex_share}"
            )
        if not 0 < self.step_seconds <= MOST or not 1 <= self.peak_factor <= MOST:
            raise CapacityError(
                f"--step-seconds must be above 0, --peak-factor at least 1, and both at most {MOST:,}"
            )
        if any(weight < 0 for weight in self.mix.values()) or (
            self.mix and not sum(self.mix.values())
        ):
            raise CapacityError("--mix needs weights of 0 or more, and one above 0")

    @property
    def tasks_per_second(self) -> float:
        """The mean over a day."""
        return self.tasks_per_day / SECONDS_PER_DAY

    @property
    def tasks_per_month(self) -> float:
        """In a mean month."""
        return self.tasks_per_day * DAYS_PER_MONTH

    def step_types(self) -> list[StepType]:
        """The steps of a task in order: plans first, answers last, reasoning spread among the tool calls."""
        counts = self._counts()
        acting, reasoning = counts[StepType.TOOL_DISPATCH], counts[StepType.REASONING]
        middle = acting + reasoning
        between = [
            StepType.REASONING
            if (place + 1) * reasoning // middle > place * reasoning // middle
            else StepType.TOOL_DISPATCH
            for place in range(middle)
        ]
        first = [StepType.PLANNING] * counts[StepType.PLANNING]
        return [*first, *between, *[StepType.FINAL_SYNTHESIS] * counts[StepType.FINAL_SYNTHESIS]]

    def _counts(self) -> dict[StepType, int]:
        if not self.mix:
            return self._plan_act()
        total = sum(self.mix.values())
        exact = {step: self.steps * self.mix.get(step, 0) / total for step in StepType}
        counts = {step: int(value) for step, value in exact.items()}
        by_rest = sorted(StepType, key=lambda step: counts[step] - exact[step])
        for step in by_rest[: self.steps - sum(counts.values())]:
            counts[step] += 1
        return counts

    def _plan_act(self) -> dict[StepType, int]:
        ends = 1 if self.steps > 1 else 0
        middle = self.steps - 2 * ends
        reasoning = round(middle * REASONING_SHARE)
        return {
            StepType.PLANNING: ends,
            StepType.REASONING: reasoning,
            StepType.TOOL_DISPATCH: middle - reasoning,
            StepType.FINAL_SYNTHESIS: ends,
        }


@dataclass(slots=True)
class ModelUse:
    """What a task asks of one model; means, so calls and tokens are not whole."""

    calls: float = 0.0
    input_tokens: float = 0.0
    cached_tokens: float = 0.0
    output_tokens: float = 0.0
    microusd: float = 0.0

    def add(self, usage: Usage, microusd: int, *, weight: float) -> None:
        """One call that happens in such a share of the tasks."""
        self.calls += weight
        self.input_tokens += weight * usage.input_tokens
        self.cached_tokens += weight * usage.cached_tokens
        self.output_tokens += weight * usage.output_tokens
        self.microusd += weight * microusd


def model_use(work: Workload, table: RoutingTable, models: ModelCatalogue) -> dict[str, ModelUse]:
    """The mean task's calls, tokens and dollars by model, when every call goes to its route's first model.

    Raises:
        UnpricedModel: the table names a model without a price, also one that is only failed over to.
    """
    for names in (table.default, *(rule.models for rule in table.rules)):
        for name in names:
            models.spec(name)
    found: dict[str, ModelUse] = {}
    steps = work.step_types()
    for level, weight in (
        (Complexity.SIMPLE, 1 - work.complex_share),
        (Complexity.COMPLEX, work.complex_share),
    ):
        if weight:
            specs = [models.spec(table.models_for(step, level)[0]) for step in steps]
            _add_task(found, specs, work.tokens, weight)
    return found


def _add_task(
    found: dict[str, ModelUse], specs: list[ModelSpec], tokens: Tokens, weight: float
) -> None:
    seen: dict[str, int] = {}  # the longest prompt that each model has read: caches are per model
    for place, spec in enumerate(specs):
        name = spec.name
        prompt = tokens.first_input + place * tokens.growth
        known = seen.get(name, 0)
        cached = int(known * tokens.cached_share) if known >= MIN_CACHED_TOKENS else 0
        output = tokens.output + (tokens.reasoning if spec.is_reasoning else 0)
        usage = Usage(prompt, cached, output)
        found.setdefault(name, ModelUse()).add(usage, spec.cost_microusd(usage), weight=weight)
        seen[name] = prompt
