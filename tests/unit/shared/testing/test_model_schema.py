"""The smallest instance of a schema, against the validator that others use."""

import importlib
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from ratchet.testing.model_errors import ApiError
from ratchet.testing.model_schema import minimal_instance, refuse_loose_schema

# The package carries no types; mypy does not look into a module that is loaded by name.
jsonschema = importlib.import_module("jsonschema")


class Leg(BaseModel):
    to: str
    km: float = Field(gt=0)


class Trip(BaseModel):
    kind: Literal["train", "bus"]
    legs: list[Leg] = Field(min_length=2)
    note: str | None
    seats: int = Field(ge=3, le=9)
    cold: int = Field(lt=-1)
    tag: str = Field(min_length=30, max_length=40)
    next_trip: "Trip | None"
    paid: bool
    optional: int = 1


SCHEMAS: list[dict[str, Any]] = [
    Trip.model_json_schema(),
    {"type": ["null", "integer"]},
    {"enum": [3, 4]},
    {"const": {"a": 1}},
    {"anyOf": [{"type": "array"}, {"type": "null"}]},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]}]},
    {"type": "string", "format": "date-time"},
    {"properties": {"a": {}}, "required": ["a"]},
    {"$defs": {"n": {"type": "number", "exclusiveMaximum": -2}}, "$ref": "#/$defs/n"},
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_smallest_instance_is_valid(schema: dict[str, Any]) -> None:
    jsonschema.validate(minimal_instance(schema, "some text"), schema)


def test_free_strings_hold_the_text_and_optional_fields_are_left_out() -> None:
    instance = minimal_instance(Trip.model_json_schema(), "some text")
    assert instance["legs"][1]["to"] == "some text"
    assert instance["kind"] == "train"
    assert "optional" not in instance


def test_a_schema_that_holds_itself_comes_to_an_end() -> None:
    deepest = minimal_instance(Trip.model_json_schema(), "x")
    depth = 0
    while deepest is not None:
        deepest, depth = deepest["next_trip"], depth + 1
    assert depth < 20


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ({"type": "array"}, "type"),
        ({"type": "object", "properties": {}}, "additionalProperties"),
        (
            {
                "type": "object",
                "additionalProperties": False,
                "required": ["a"],
                "properties": {"a": {"anyOf": [{"type": "object"}]}},
            },
            "anyOf",
        ),
        (
            {"type": "object", "additionalProperties": False, "properties": {"lost": {}}},
            "Missing 'lost'",
        ),
    ],
)
def test_a_loose_schema_is_refused_by_name(schema: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ApiError, match=complaint):
        refuse_loose_schema(schema, where="response_format 'x'", param="response_format")
