"""What is deployed: agents, routing, health."""

from functions.api.current import Routes, use_cases
from ratchet.app.routing_view import routing_view
from ratchet.app.task_views import agent_view
from ratchet.contracts.deployment_api import AgentListView, HealthView, RoutingView
from ratchet.contracts.names import API_VERSION

routes = Routes()


@routes.get("/v1/agents", summary="List the agents", operation_id="listAgents", tags=["agents"])
def list_agents() -> AgentListView:
    """What is deployed."""
    _ = routes.tenant  # tells every tenant the same, but only those who were let in
    agents = use_cases().agents
    return AgentListView(agents=[agent_view(a) for a in agents.all()], default_agent=agents.default)


@routes.get(
    "/v1/routes", summary="Read the routing table", operation_id="listRoutes", tags=["agents"]
)
def list_routes() -> RoutingView:
    """The models that a task submitted now would use, by step type and complexity."""
    _ = routes.tenant
    submit = use_cases().submit
    return routing_view(submit.models, submit.routing)


@routes.get("/v1/health", summary="Health", operation_id="health", tags=["service"])
def health() -> HealthView:
    """The function runs and its settings are complete."""
    use_cases()
    return HealthView(status="ok", version=API_VERSION)
