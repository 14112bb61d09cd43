from pathlib import Path

import pytest

from cdk.bundling import ROOT
from cdk.deployment import Deployment
from cdk.models import UnpricedRoute, models_document
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


def test_the_same_route_is_accepted_once_the_model_has_a_price(tmp_path: Path) -> None:
    routing, models = tmp_path / "routing.yaml", tmp_path / "models.yaml"
    routing.write_text("default: [dream-7]")
    models.write_text(
        "models: {dream-7: {price: {input: 1, output: 2}, context_tokens: 9, max_output_tokens: 8}}"
    )
    assert '"dream-7"' in models_document(routing, models)
