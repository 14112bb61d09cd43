"""How the routing table in force looks from outside."""

from ratchet.app.deployed_models import DeployedModels
from ratchet.app.routing_in_force import Routing
from ratchet.contracts.deployment_api import RouteView, RoutingView
from ratchet.contracts.messages import Route
from ratchet.contracts.names import Complexity, StepType
from ratchet.contracts.pinned_routes import MARK


def routing_view(models: DeployedModels, routing: Routing) -> RoutingView:
    """The table that a task made now would get."""
    now = routing.current()
    return RoutingView(
        source="deployed" if now.routes is None else "override",
        routes=[_view(r) for r in (models.routes if now.routes is None else now.routes.routes())],
        problem=now.problem,
    )


def _view(route: Route) -> RouteView:
    step, complexity = route.name.removesuffix(MARK).split(" ")
    return RouteView(
        step=StepType(step), complexity=Complexity(complexity), models=list(route.models)
    )
