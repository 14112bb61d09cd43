from pathlib import Path
from typing import Any

import pytest

from cdk.bundling import ROOT
from cdk.deployment import Deployment
from cdk.models import (
    UnpricedEmbedding,
    UnpricedRoute,
    check_embeddings,
    embedding_models,
    models_document,
)
from ratchet.app.deployed_models import DeployedModels
from ratchet.contracts.routing import RoutingTable

ROUTING, MODELS = ROOT / Deployment().routing, ROOT / Deployment().models


def test_the_functions_read_back_every_model_and_route(tmp_path: Path) -> None:
    bundled = tmp_path / "ratchet_models.json"
    bundled.write_text(models_document(ROUTING, MODELS), encoding="utf-8")
    deployed = DeployedModels.load(bundled)
    assert deployed.catalogue.spec("o3-mini").price.output == 4400
    table = RoutingTable.load(ROUTING)
    assert {(r.models, r.escalation) for r in deployed.routes} >= {
        (rule.models, ()) for rule in table.rules if rule.complexity == "complex"
    }
    assert len({route.name for route in deployed.routes}) == 8
    deployed.check()


def test_a_route_to_an_unpriced_model_is_refused_with_file_route_model_and_fix(
    tmp_path: Path,
) -> None:
    routing = tmp_path / "routing.yaml"
    routing.write_text("rules: [{step: reasoning, complexity: complex, models: [o3, dream-7]}]")
    with pytest.raises(UnpricedRoute) as caught:
        models_document(routing, MODELS)
    message = str(caught.value)
    assert message.startswith(f"{routing}: route 'reasoning complex' leads to model 'dream-7'")
    assert "`ratchet prices dream-7` prints an entry" in message


def test_a_route_to_a_model_of_embeddings_is_refused(tmp_path: Path) -> None:
    routing = tmp_path / "routing.yaml"
    routing.write_text("default: [text-embedding-3-small]")
    with pytest.raises(UnpricedRoute, match="'text-embedding-3-small', which gives vectors"):
        models_document(routing, MODELS)


def test_the_same_route_is_accepted_once_the_model_has_a_price(tmp_path: Path) -> None:
    routing, models = tmp_path / "routing.yaml", tmp_path / "models.yaml"
    routing.write_text("default: [dream-7]")
    models.write_text(
        "models: {dream-7: {price: {input: 1, output: 2}, context_tokens: 9, max_output_tokens: 8}}"
    )
    assert '"dream-7"' in models_document(routing, models)


def test_an_agent_that_embeds_with_a_priced_model_is_deployed() -> None:
    agents: list[dict[str, Any]] = [
        {"name": "plain", "embedding_model": None},
        {"name": "frugal", "embedding_model": "text-embedding-3-small"},
    ]
    check_embeddings(agents, models_document(ROUTING, MODELS))
    assert embedding_models(MODELS) == {"text-embedding-3-small", "text-embedding-3-large"}


@pytest.mark.parametrize(
    ("model", "problem"),
    [("dream-7", "has no price; add 'dream-7'"), ("gpt-4o", "gives no embeddings")],
)
def test_an_agent_that_embeds_with_anything_else_is_refused(model: str, problem: str) -> None:
    agents = [{"name": "frugal", "embedding_model": model}]
    with pytest.raises(UnpricedEmbedding) as caught:
        check_embeddings(agents, models_document(ROUTING, MODELS))
    assert str(caught.value).startswith(
        f"agent 'frugal': '{model}' of its semantic cache {problem}"
    )
    assert "text-embedding-3-small" in str(caught.value)
