"""The published document: committed, complete, with examples that are true."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from functions.api.answer_examples import ANSWERS, PROBLEMS
from functions.api.examples import BODIES
from tests.openapi import COMMITTED, generated

DOCUMENT = json.loads(generated())
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = {
    operation["operationId"]: operation
    for verbs in DOCUMENT["paths"].values()
    for operation in verbs.values()
}


def test_the_committed_document_is_the_generated_one() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == generated(), "run `make openapi` and commit it"


def test_every_body_has_an_example_and_no_example_is_left_over() -> None:
    with_body = {name for name, operation in OPERATIONS.items() if "requestBody" in operation}
    assert set(BODIES) == with_body


@pytest.mark.parametrize("name", sorted(BODIES))
def test_an_example_fits_its_schema(name: str) -> None:
    content = OPERATIONS[name]["requestBody"]["content"]["application/json"]
    schema: Any = {**content["schema"], "components": DOCUMENT["components"]}
    assert list(Draft202012Validator(schema).iter_errors(content["example"])) == []


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_an_answers_example_fits_its_schema_and_leaves_nothing_out(name: str) -> None:
    answers = OPERATIONS[name]["responses"]
    content = answers.get("200", answers.get("202"))["content"]["application/json"]
    schema: Any = {**content["schema"], "components": DOCUMENT["components"]}
    assert list(Draft202012Validator(schema).iter_errors(content["example"])) == []
    model = SCHEMAS[content["schema"]["$ref"].rpartition("/")[2]]
    assert set(model["required"]) <= set(content["example"]) <= set(model["properties"])


def test_what_a_reader_needs_most_is_shown() -> None:
    needed = {"submitTask", "getTask", "listTasks", "listInterrupts", "getUsage", "getBatch"}
    assert needed <= set(ANSWERS) <= set(OPERATIONS)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_refusal_of_an_operation_is_shown(name: str) -> None:
    answers = OPERATIONS[name]["responses"]
    for status in set(PROBLEMS) & set(answers):
        shown = answers[status]["content"]["application/problem+json"]["examples"]
        for code, reference in shown.items():
            assert reference == {"$ref": f"#/components/examples/{code}"}
            problem = DOCUMENT["components"]["examples"][code]["value"]
            assert list(Draft202012Validator(SCHEMAS["Problem"]).iter_errors(problem)) == []
            assert status in (str(problem["status"]), f"{problem['status'] // 100}XX")


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_says_what_its_refusals_look_like(name: str) -> None:
    answers = OPERATIONS[name]["responses"]
    assert "422" not in answers
    for status in ("4XX", "503"):
        assert set(answers[status]["content"]) == {"application/problem+json"}


def test_every_reference_leads_somewhere() -> None:
    text = generated()
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(DOCUMENT["components"]["schemas"])
