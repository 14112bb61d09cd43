"""What a task may still use. Checked before a model is called, so that a cap is never passed."""

from ratchet.contracts.charge import Charge
from ratchet.contracts.errors import DeadlineExceeded, LimitReached
from ratchet.contracts.limits import BUDGET_WARNINGS_PERCENT, MAX_OUTPUT_TOKENS
from ratchet.domain.models import ModelSpec
from ratchet.domain.steps import BudgetWarning, Totals
from ratchet.domain.task import History, Task

MAX_COST, MAX_TOKENS, TENANT_DAY = "max_cost_usd", "max_tokens", "tenant_daily_cap"
MONEY = frozenset({MAX_COST, TENANT_DAY})
"""The limits that a cheaper model may still keep."""
MIN_OUTPUT_TOKENS = 256
"""A call that cannot afford even this much output is not made."""


def check_limits(history: History, *, now_ms: int) -> None:
    """Refuse another step when steps, tokens or time are used up.

    Raises:
        LimitReached, DeadlineExceeded
    """
    task, totals = history.task, history.totals
    if totals.steps >= task.limits.max_steps:
        raise LimitReached(f"the limit of {task.limits.max_steps} steps is reached", "max_steps")
    if totals.tokens >= task.limits.max_tokens:
        raise LimitReached(
            f"the limit of {task.limits.max_tokens} tokens is reached{_lost(totals)}", MAX_TOKENS
        )
    if now_ms >= history.state.opened_at_ms + task.limits.deadline_seconds * 1000:
        raise DeadlineExceeded(
            f"the task did not finish within its {task.limits.deadline_seconds} s; "
            "raise limits.deadline_seconds or give it less to do"
        )


def is_affordable(spec: ModelSpec, task: Task, spent: Totals, *, input_tokens: int) -> bool:
    """Whether a call without output stays below the task's caps."""
    cost = spent.cost_microusd + spec.worst_microusd(input_tokens, 0)
    return (
        cost <= int(task.limits.max_cost_usd * 1_000_000)
        and spent.tokens + input_tokens <= task.limits.max_tokens
    )


def warning(history: History, cost_microusd: int, *, is_spent: bool) -> BudgetWarning | None:
    """Which shares of the cap a step reaches that nobody was told of: each once, and anew under another cap."""
    limit = int(history.task.limits.max_cost_usd * 1_000_000)
    if not is_spent and cost_microusd * 100 < BUDGET_WARNINGS_PERCENT[0] * limit:
        return None
    before = [r.warning for r in history.records if r.warning is not None]
    told = {p for w in before if w.limit_microusd == limit for p in w.percents}
    reached = [
        percent
        for percent in BUDGET_WARNINGS_PERCENT
        if cost_microusd * 100 >= percent * limit or (is_spent and percent == 100)
    ]
    news = tuple(percent for percent in reached if percent not in told)
    return BudgetWarning(limit, news) if news else None


def affordable_output(spec: ModelSpec, task: Task, spent: Totals, *, input_tokens: int) -> int:
    """How many output tokens the next call may produce at its worst without passing a cap, or the model's window.

    Raises:
        LimitReached: not even a short answer is affordable.
    """
    cost_left = int(task.limits.max_cost_usd * 1_000_000) - spent.cost_microusd
    price = spec.price_for(input_tokens)
    nano_left = cost_left * 1000 - input_tokens * price.dearest_input
    by_cost = nano_left // price.output if price.output else MAX_OUTPUT_TOKENS
    if nano_left < 0 or by_cost < MIN_OUTPUT_TOKENS:
        worst = spec.worst_microusd(input_tokens, MIN_OUTPUT_TOKENS)
        raise LimitReached(
            f"the next call to {spec.name} may cost ${worst / 1e6:.4f}, and "
            f"${max(cost_left, 0) / 1e6:.4f} of max_cost_usd={task.limits.max_cost_usd} is left",
            MAX_COST,
        )
    by_tokens = task.limits.max_tokens - spent.tokens - input_tokens
    if by_tokens < MIN_OUTPUT_TOKENS:
        raise LimitReached(
            f"the next call may pass the limit of {task.limits.max_tokens} tokens{_lost(spent)}",
            MAX_TOKENS,
        )
    return min(
        by_cost, by_tokens, _room(spec, input_tokens), spec.max_output_tokens, MAX_OUTPUT_TOKENS
    )


def _room(spec: ModelSpec, input_tokens: int) -> int:
    """What the context window leaves beside the prompt: servers refuse a call whose limit does not fit in as well.

    The prompt is estimated a third too long, so an eighth of the window is asked for whatever the estimate says.
    """
    window = spec.context_tokens
    return max(window - input_tokens, window // 8, MIN_OUTPUT_TOKENS)


def _lost(spent: Totals) -> str:
    """What tells whoever adds up the usage why the limit was reached before."""
    if not spent.lost_tokens:
        return ""
    return f", of which calls without a known answer may have used {spent.lost_tokens}"


def worst_case(
    spec: ModelSpec, task: Task, spent: Totals, *, input_tokens: int
) -> tuple[int, Charge]:
    """How many output tokens the next call may produce, and what it is then charged at its worst.

    Raises:
        LimitReached: not even a short answer is affordable.
    """
    output = affordable_output(spec, task, spent, input_tokens=input_tokens)
    return output, worst_charge(spec, input_tokens, output)


def worst_charge(spec: ModelSpec, input_tokens: int, output_tokens: int) -> Charge:
    """What a call of this size is charged at most."""
    return Charge(spec.worst_microusd(input_tokens, output_tokens), input_tokens + output_tokens)
