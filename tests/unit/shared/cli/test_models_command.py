from pathlib import Path

import pytest

from tests.unit.shared.cli.conftest import Command

OWN = "{price: {input: 1, output: 2}, context_tokens: 900, max_output_tokens: 800, source: list}"


@pytest.fixture(autouse=True)
def project(ratchet: Command) -> Path:
    """A project in the folder that commands run in."""
    for name in ("cdk", "functions", "shared/agents"):
        Path(name).mkdir(parents=True, exist_ok=True)
    Path("cdk/app.py").touch()
    Path("cdk/models.yaml").write_text(f"models: {{house: {OWN}}}")
    Path("cdk/routing.yaml").write_text(
        "default: [gpt-5.6-sol]\nrules: [{step: planning, models: [house]}]"
    )
    return Path()


def test_the_models_of_the_routes_are_listed_with_price_source_and_date(ratchet: Command) -> None:
    done = ratchet("models")
    assert done.code == 0
    assert "house: price from list; planning simple, planning complex" in done.out
    assert "gpt-5.6-sol: price from genai-prices" in done.out
    (row,) = [line.split() for line in done.out.splitlines() if line.startswith("gpt-5.6-sol  ")]
    assert row[1:5] == ["4.000", "0.400", "5.000", "20.000"]
    assert "above 272k" in done.out
    assert "gpt-4o" not in done.out


def test_programs_get_the_same_as_json(ratchet: Command) -> None:
    models = {model["name"]: model for model in ratchet("models", "--json").json["models"]}
    assert set(models) == {"house", "gpt-5.6-sol"}
    assert models["house"]["price"]["cache_write"] == 1.0
    assert models["house"]["routes"] == ["planning simple", "planning complex"]
    assert models["gpt-5.6-sol"]["long_prompt"]["price"]["output"] == 30.0
    assert models["gpt-5.6-sol"]["as_of"].startswith("20")


def test_all_models_can_be_listed(ratchet: Command) -> None:
    done = ratchet("models", "--all", "--json").json
    assert {"gpt-4o", "o3", "house"} <= {model["name"] for model in done["models"]}


def test_a_model_without_a_price_is_named_with_its_fix_and_fails(ratchet: Command) -> None:
    Path("other.yaml").write_text("default: [dream-7]")
    done = ratchet("models", "--routing", "other.yaml")
    assert done.code == 1
    assert "dream-7 has no price; add 'dream-7' with its prices to cdk/models.yaml" in done.err
    (missing,) = ratchet("models", "--routing", "other.yaml", "--json").json["unpriced"]
    assert missing["name"] == "dream-7"
    assert "planning simple" in missing["routes"]


@pytest.mark.parametrize(
    ("path", "text", "problem"),
    [
        ("cdk/models.yaml", "models: {o3: {price: 3}}", "models.o3.price"),
        ("cdk/routing.yaml", "default: []", "default"),
    ],
)
def test_a_file_with_a_mistake_is_an_error_that_names_the_key(
    ratchet: Command, path: str, text: str, problem: str
) -> None:
    Path(path).write_text(text)
    done = ratchet("models")
    assert done.code == 1
    assert problem in done.err


def test_a_routing_table_that_is_not_there_is_named(ratchet: Command) -> None:
    done = ratchet("models", "--routing", "nowhere.yaml")
    assert (done.code, "nowhere.yaml cannot be read" in done.err) == (1, True)
