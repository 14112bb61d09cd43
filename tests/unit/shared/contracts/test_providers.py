"""providers.yaml: what it takes, and what it says about the rest."""

from pathlib import Path
from typing import Any

import pytest

from ratchet.contracts.providers import Providers
from ratchet.contracts.routing import RoutingTable
from ratchet.contracts.settings import NO_PROVIDERS

ONE: dict[str, Any] = {"name": "eu", "model": "gpt-4o", "base_url": "https://eu.example/v1/"}


def given(*deployments: dict[str, Any]) -> Providers:
    return Providers.model_validate({"deployments": deployments})


def test_the_file_as_shipped_has_no_deployments() -> None:
    path = Path(__file__).parents[4] / "cdk" / "providers.yaml"
    assert Providers.load(path).to_setting() == NO_PROVIDERS


def test_the_example_in_the_file_as_shipped_is_valid(tmp_path: Path) -> None:
    text = (Path(__file__).parents[4] / "cdk" / "providers.yaml").read_text(encoding="utf-8")
    example = [line.removeprefix("#") for line in text.splitlines() if line.startswith("#   ")]
    file = tmp_path / "providers.yaml"
    file.write_text("deployments:\n" + "\n".join(example), encoding="utf-8")
    assert [d.name for d in Providers.load(file).deployments] == ["openai", "azure-eu"]


def test_an_empty_file_is_no_deployments(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("", encoding="utf-8")
    assert Providers.load(tmp_path / "p.yaml") == Providers()


@pytest.mark.parametrize("kind", [Providers, RoutingTable])
def test_a_file_that_is_no_yaml_is_named(
    tmp_path: Path, kind: type[Providers] | type[RoutingTable]
) -> None:
    (tmp_path / "p.yaml").write_text("default: [gpt-4o", encoding="utf-8")
    with pytest.raises(ValueError, match=r"p\.yaml: is not YAML: (.|\n)*line 1"):
        kind.load(tmp_path / "p.yaml")


def test_the_setting_is_read_back_as_it_was() -> None:
    providers = given(
        ONE | {"rpm": 5, "secret_arn": "arn:aws:secretsmanager:x"}, ONE | {"name": "us"}
    )
    assert Providers.from_setting(providers.to_setting()) == providers


@pytest.mark.parametrize(
    ("deployments", "message"),
    [
        ([ONE, ONE], "two deployments are called 'eu'"),
        ([ONE | {"weight": 0}], "every deployment of 'gpt-4o' has weight 0"),
        ([ONE | {"name": "EU West"}], "name"),
        ([ONE | {"base_url": "eu.example"}], "must begin with https://"),
        ([ONE | {"base_url": "https://"}], "names no host"),
        ([ONE | {"base_url": "https://eu.example/v1?api-version=1"}], "needs no .?api-version"),
        ([ONE | {"secret_arn": "my-key"}], "whole ARN of a secret"),
        ([ONE | {"rpm": 0}], "rpm"),
        ([ONE | {"tmp": 5}], "tmp"),
        ([{"name": "eu", "model": "gpt-4o"}], "base_url"),
    ],
)
def test_what_cannot_work_is_refused_by_name(
    deployments: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        given(*deployments)


def test_a_deployment_that_no_route_reaches_is_refused() -> None:
    given(ONE).require_routes_to({"gpt-4o", "o3"})
    with pytest.raises(ValueError, match=r"'eu' serves 'gpt-4o', which no route names; .* o3"):
        given(ONE).require_routes_to({"o3"})
