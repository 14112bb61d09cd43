"""A small agent with one tool of each effect, and a world for them to act on."""

from dataclasses import dataclass, field

from pydantic import BaseModel

from ratchet import Agent, ToolContext, tool
from ratchet.testing.answers import Answer, calls


class Resolution(BaseModel):
    resolution: str


@dataclass
class Shop:
    """Tools that leave their traces here. The charge ignores its key when it is `forgetful`."""

    is_forgetful: bool = False
    refunds: list[str] = field(default_factory=list)
    charges: dict[str, float] = field(default_factory=dict)
    looks: list[str] = field(default_factory=list)
    users: set[str | None] = field(default_factory=set)

    def reset(self) -> None:
        self.refunds.clear()
        self.charges.clear()
        self.looks.clear()

    def effects(self) -> object:
        return list(self.refunds), dict(self.charges)

    def agent(self, *, policy: str = "plan_act") -> Agent:
        @tool(effect="read")
        def look(order_id: str) -> dict[str, str]:
            """Look up an order."""
            self.looks.append(order_id)
            return {"order_id": order_id, "status": "delivered"}

        @tool(effect="idempotent")
        def charge(amount_usd: float, context: ToolContext) -> str:
            """Charge an amount, once per key."""
            key = context.idempotency_key
            self.charges[f"{key}-{len(self.charges)}" if self.is_forgetful else key] = amount_usd
            return "charged"

        @tool(effect="unsafe")
        def refund(order_id: str, context: ToolContext) -> str:
            """Pay back."""
            self.users.add(context.user_id)
            self.refunds.append(order_id)
            return "refunded"

        return Agent(
            name="shop",
            instructions="Resolve complaints.",
            tools=[look, charge, refund],
            output=Resolution,
            policy=policy,
        )


def script() -> list[Answer]:
    return [
        "look, then act",
        [calls("look", order_id="A-1"), calls("look", order_id="A-2")],
        [calls("charge", amount_usd=1.5), calls("refund", order_id="A-1")],
        "nothing is left to do",
        Resolution(resolution="refunded"),
    ]


GOAL = "Refund order A-1."
