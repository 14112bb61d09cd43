"""The models of a deployment: checked against its routes, and written for the functions that price."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ratchet.contracts.model_file import known_models
from ratchet.contracts.names import Complexity, StepType
from ratchet.contracts.priced_models import ONLY_EMBEDS, how_to_price
from ratchet.contracts.routing import RoutingTable


class UnpricedRoute(ValueError):
    """A route leads to a model without a price, or to none that answers; the message names file, route, model, fix."""


class UnpricedEmbedding(ValueError):
    """An agent's semantic cache embeds with a model that has no price or is none; the message says the fix."""


def models_document(routing: Path, models: Path) -> str:
    """What the bundles carry (`DeployedModels.load` reads it).

    Raises:
        ValueError: one of the files is wrong.
        UnpricedRoute: a route leads to a model without a price, or to one of embeddings.
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
            if known[model].is_embedding:
                raise UnpricedRoute(
                    f"{routing}: route {route.name!r} leads to model {model!r}, {ONLY_EMBEDS}"
                )
    document = {
        "models": [known[name].to_json() for name in sorted(known)],
        "routes": [route.to_dict() for route in routes],
    }
    return json.dumps(document, indent=1)


def embedding_models(models: Path) -> set[str]:
    """The models that no route may name but an agent's semantic cache may.

    Raises:
        BadModelFile: the file is wrong.
    """
    return {model.name for model in known_models(models).values() if model.is_embedding}


def check_embeddings(agents: Iterable[dict[str, Any]], document: str) -> None:
    """Refuse agents whose semantic cache could not be paid for or would never find anything.

    Raises:
        UnpricedEmbedding: of the first such agent of the manifest.
    """
    asked = [agent for agent in agents if agent.get("embedding_model")]
    if not asked:
        return
    embeds = {model["name"]: model["is_embedding"] for model in json.loads(document)["models"]}
    for agent in asked:
        model = agent["embedding_model"]
        if embeds.get(model):
            continue
        problem = (
            "gives no embeddings" if model in embeds else f"has no price; {how_to_price(model)}"
        )
        known = ", ".join(sorted(name for name in embeds if embeds[name]))
        raise UnpricedEmbedding(
            f"agent {agent['name']!r}: {model!r} of its semantic cache {problem} (known ones: {known})"
        )
