"""The models of a deployment: checked against its routes, and written for the functions that price."""

import json
from pathlib import Path

from ratchet.contracts.model_file import known_models
from ratchet.contracts.names import Complexity, StepType
from ratchet.contracts.priced_models import how_to_price
from ratchet.contracts.routing import RoutingTable


class UnpricedRoute(ValueError):
    """A route leads to a model without a price; the message names file, route, model and the fix."""


def models_document(routing: Path, models: Path) -> str:
    """What the bundles carry (`DeployedModels.load` reads it).

    Raises:
        ValueError: one of the files is wrong.
        UnpricedRoute: a route leads to a model without a price.
    """
    known = known_models(models)
    table = RoutingTable.load(routing)
    routes = [table.route(step, level) for step in StepType for level in Complexity]
    for route in routes:
        for model in route.models:
            if model not in known:
                raise UnpricedRoute(
                    f"{routing}: route {route.name!r} leads to model {model!r}, which has no price; "
                    + how_to_price(model)
                )
    document = {
        "models": [known[name].to_json() for name in sorted(known)],
        "routes": [route.to_dict() for route in routes],
    }
    return json.dumps(document, indent=1)
