"""The answer of `GET /v1/usage`."""

from pydantic import BaseModel, ConfigDict

from ratchet.contracts.api import UsageView
from ratchet.contracts.names import UsageBy


class UsageSumView(BaseModel):
    """What was used together: steps that asked a model, tokens, and dollars for models."""

    model_config = ConfigDict(frozen=True)

    steps: int
    usage: UsageView
    cost_usd: float


class UsageGroupView(UsageSumView):
    """What one day, model, agent or user used; `key` is null for tasks without a user, and where no model is known."""

    key: str | None


class UsageReportView(BaseModel):
    """What `GET /v1/usage` answers: days (UTC) in their order, everything else dearest first.

    A task is counted when it ends or asks a person, each step on the day on which it finished: what runs now is not in
    it yet. `rest` is what groups after the first thousand used, null if there are none; `total` has everything.
    """

    model_config = ConfigDict(frozen=True)

    first_day: str
    last_day: str
    by: UsageBy
    groups: list[UsageGroupView]
    rest: UsageSumView | None
    total: UsageSumView
