"""Answers of the HTTP API about what is deployed."""

from typing import Literal

from ratchet.contracts.names import Complexity, StepType
from ratchet.contracts.task_api import LimitsView
from ratchet.contracts.wire import Answer


class AgentView(Answer):
    """A deployed agent."""

    name: str
    version: str
    description: str
    policy: str
    tools: list[str]
    limits: LimitsView


class AgentListView(Answer):
    """What `GET /v1/agents` answers."""

    agents: list[AgentView]
    default_agent: str


class RouteView(Answer):
    """The models of one pair, the preferred one first, then those that take over when it does not answer."""

    step: StepType
    complexity: Complexity
    models: list[str]


class RoutingView(Answer):
    """What `GET /v1/routes` answers: the routing table that a task submitted now would get.

    `source` is `override` while a table stands in place of the deployed one; `problem` says why one cannot be used.
    """

    source: Literal["deployed", "override"]
    routes: list[RouteView]
    problem: str | None = None


class HealthView(Answer):
    """What `GET /v1/health` answers."""

    status: str
    version: str
