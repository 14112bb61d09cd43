"""Answers of the HTTP API about usage."""

from ratchet.contracts.names import UsageBy
from ratchet.contracts.wire import Answer


class UsageView(Answer):
    """Tokens; cached and cache writes are parts of input, reasoning is part of output."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cache_write_tokens: int = 0


class UsageSumView(Answer):
    """What was used together: steps that asked a model, tokens, and dollars for models."""

    steps: int
    usage: UsageView
    cost_usd: float


class UsageGroupView(UsageSumView):
    """What one day, model, agent or user used; `key` is null for tasks without a user, and where no model is known."""

    key: str | None


class UsageReportView(Answer):
    """What `GET /v1/usage` answers: days (UTC) in their order, everything else dearest first.

    A task is counted when it ends or asks a person, each step on the day on which it finished: what runs now is not in
    it yet. `rest` is what groups after the first thousand used, null if there are none; `total` has everything.
    """

    first_day: str
    last_day: str
    by: UsageBy
    groups: list[UsageGroupView]
    rest: UsageSumView | None
    total: UsageSumView
