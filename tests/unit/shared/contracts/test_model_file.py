from pathlib import Path

import pytest

from ratchet.contracts.model_file import BadModelFile, known_models
from ratchet.contracts.price_list import PRICE_LIST
from ratchet.contracts.priced_models import LongPrompt, Price

SHIPPED = Path(__file__).parents[4] / "cdk" / "models.yaml"
OWN = "price: {input: 0.2, output: 0.6}, context_tokens: 32768, max_output_tokens: 4096"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "models.yaml"


def write(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file


def test_the_shipped_file_changes_nothing() -> None:
    assert known_models(SHIPPED) == {model.name: model for model in PRICE_LIST}


def test_the_example_in_the_shipped_file_is_a_valid_one(file: Path) -> None:
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("#   llama"))
    example = "\n".join(line.removeprefix("#") for line in lines[start:] if line.startswith("#"))
    known = known_models(write(file, f"models:\n{example}\n"))
    house = known["llama-4-house"]
    assert house.price == Price(200, 200, 200, 600)
    assert house.long_prompt == LongPrompt(100_000, Price(400, 400, 400, 900))
    assert (house.source, house.as_of) == ("our contract", "2026-11-01")
    assert known["gpt-4o"].price == Price(2250, 1125, 2250, 9000)


def test_a_class_of_input_without_a_price_costs_as_much_as_input(file: Path) -> None:
    known = known_models(write(file, f"models: {{mine: {{{OWN}}}}}"))
    assert known["mine"].price == Price(200, 200, 200, 600)


def test_an_embedding_model_of_ones_own_says_that_it_is_one(file: Path) -> None:
    text = (
        "models: {mine: {price: {input: 0.1, output: 0}, context_tokens: 512, is_embedding: true}}"
    )
    mine = known_models(write(file, text))["mine"]
    assert (mine.is_embedding, mine.price, mine.context_tokens) == (
        True,
        Price(100, 100, 100, 0),
        512,
    )


def test_of_a_known_model_only_what_is_named_changes(file: Path) -> None:
    text = "models: {o3: {max_output_tokens: 1000, has_json_schema: false}}"
    before = known_models(SHIPPED)["o3"]
    o3 = known_models(write(file, text))["o3"]
    assert (o3.max_output_tokens, o3.has_json_schema) == (1000, False)
    assert (o3.price, o3.source, o3.is_reasoning) == (before.price, before.source, True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("models: {mine: {price: {input: 1}}}", "models.mine.price.output: Field required"),
        (f"models: {{mine: {{{OWN}, temprature: 0}}}}", "models.mine.temprature: Extra inputs"),
        ("models: {o3: {price: {input: -1, output: 1}}}", "models.o3.price.input: Input should be"),
        ("models: {o3: {price: {input: .nan, output: 1}}}", "models.o3.price.input:"),
        ("models: {o3: {price: {input: .inf, output: 1}}}", "models.o3.price.input:"),
        ("models: {o3: {price: {input: free, output: 1}}}", "models.o3.price.input:"),
        ("models: {o3: {price: {input: true, output: 1}}}", "models.o3.price.input:"),
        ("models: {o3: {context_tokens: 1.5}}", "models.o3.context_tokens:"),
        ("models: {o3: {max_output_tokens: 0}}", "models.o3.max_output_tokens:"),
        ("models: {o3: {is_reasoning: maybe}}", "models.o3.is_reasoning:"),
        ("models: {o3: {as_of: yesterday}}", "models.o3.as_of:"),
        (
            "models: {mine: {price: {input: 1, output: 1}}}",
            "context_tokens, max_output_tokens: nee",
        ),
        ("models: [o3]", "models: Input should be"),
        ("prices: {}", "prices: Extra inputs"),
        ("just words", "the file: Input should be"),
        ("models: {", "is not YAML"),
        (
            "models: {gpt-5.5: {price: {input: 50, output: 300}}}",
            "models.gpt-5.5: long_prompt.price: above 272000 tokens of input no class",
        ),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(file: Path, text: str, problem: str) -> None:
    with pytest.raises(BadModelFile) as caught:
        known_models(write(file, text))
    assert str(file) in str(caught.value)
    assert problem in str(caught.value)


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(BadModelFile, match=r"models\.yaml: cannot be read: No such file"):
        known_models(file)


def test_bytes_that_are_no_text_are_named(file: Path) -> None:
    file.write_bytes(b"models: \xff\xfe")
    with pytest.raises(BadModelFile, match="is not YAML"):
        known_models(file)
