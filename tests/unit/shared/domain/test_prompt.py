import json
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, HttpUrl, RootModel, TypeAdapter

from ratchet import Agent, tool
from ratchet.contracts.names import StepType
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.prompt import Prompt, build_prompt, strict_schema
from ratchet.domain.steps import Step, StepResult
from tests.unit.shared.builders import a_history, a_result


class Answer(BaseModel):
    text: str
    score: float


@tool(effect="read")
def look(where: str, deep: bool = False) -> str:
    """Look somewhere."""
    return f"{where} {deep}"


AGENT = Agent("helper", "Help.", tools=[look], output=Answer)


def wire(prompt: Prompt) -> list[str]:
    return [json.dumps(m.to_chat()) for m in prompt.messages]


def prompt_of(results: list[StepResult]) -> Prompt:
    following = AGENT.decides.next_step(results, AGENT.traits)
    assert isinstance(following, Step)
    directive = AGENT.decides.directive(following, results)
    return build_prompt(AGENT, a_history(*results), following.type, directive)


texts = st.text(max_size=20)


@st.composite
def results(draw: st.DrawFn) -> StepResult:
    type_ = draw(st.sampled_from([StepType.PLANNING, StepType.REASONING, StepType.TOOL_DISPATCH]))
    if type_ is StepType.TOOL_DISPATCH and draw(st.booleans()):
        call = ToolCall("c1", "look", json.dumps({"where": draw(texts)}))
        added = (Message("assistant", None, (call,)), Message("tool", draw(texts), (), "c1"))
        return a_result(type_, *added, ok=draw(st.booleans()))
    return a_result(type_, Message("assistant", draw(texts)))


@given(st.lists(results(), min_size=1, max_size=8))
def test_the_prompt_of_a_step_begins_with_the_prompt_of_the_step_before(
    history: list[StepResult],
) -> None:
    done: list[StepResult] = []
    before = wire(prompt_of(done))
    for result in history:
        following = AGENT.decides.next_step(done, AGENT.traits)
        assert isinstance(following, Step)
        directive = AGENT.decides.directive(following, done)
        opening = (Message("user", directive),) if directive else ()
        done = [*done, a_result(result.type, *opening, *result.messages, ok=True)]
        after = wire(build_prompt(AGENT, a_history(*done), StepType.TOOL_DISPATCH, None))
        assert after[: len(before)] == before
        before = after


def test_tools_and_schema_do_not_depend_on_the_step_except_for_the_answer_format() -> None:
    plan, final = (
        build_prompt(AGENT, a_history(), type_, None)
        for type_ in (StepType.PLANNING, StepType.FINAL_SYNTHESIS)
    )
    assert plan.tools == final.tools == AGENT.tool_schemas
    assert plan.cache_key == final.cache_key == f"helper:{AGENT.version}"
    assert plan.tool_choice == final.tool_choice == "none"
    assert plan.response_format is not None
    assert plan.response_format.name == "plan"
    assert final.response_format is not None
    assert final.response_format.strict
    assert final.response_format.schema["required"] == ["text", "score"]


NOT_STRICT: tuple[Any, ...] = (
    *(HttpUrl, set[str], tuple[int, str], dict[str, int], Any),
    Annotated[str, Field(min_length=1)],
    Annotated[str, Field(examples=["x"])],
)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object"},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "array", "items": {"type": "object"}},
        {"anyOf": [{"type": "object"}, {"type": "null"}]},
        {"type": "string", "pattern": "^(?!x)"},
        {"$ref": "#/$defs/Kind", "description": "Which."},
        *(TypeAdapter(annotation).json_schema() for annotation in NOT_STRICT),
    ],
)
def test_schemas_that_strict_mode_cannot_hold_are_sent_plain(schema: dict[str, Any]) -> None:
    assert strict_schema({"type": "object", "properties": {"a": schema}}) is None


def test_strict_mode_takes_objects_only() -> None:
    assert strict_schema(RootModel[list[str]].model_json_schema()) is None


def test_a_discriminated_union_stays_strict() -> None:
    class Cat(BaseModel):
        kind: Literal["cat"]

    class Dog(BaseModel):
        kind: Literal["dog"]

    class Owner(BaseModel):
        pet: Annotated[Cat | Dog, Field(discriminator="kind")]

    strict = strict_schema(Owner.model_json_schema())
    assert strict is not None
    pet = strict["properties"]["pet"]
    assert pet == {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}], "title": "Pet"}
    assert strict["$defs"]["Cat"]["additionalProperties"] is False


def test_a_strict_schema_requires_everything_and_allows_nothing_else() -> None:
    class Inner(BaseModel):
        name: str = "x"

    class Outer(BaseModel):
        inner: Inner
        several: list[Inner] = []

    strict = strict_schema(Outer.model_json_schema())
    assert strict is not None
    assert strict["required"] == ["inner", "several"]
    assert strict["additionalProperties"] is False
    assert strict["$defs"]["Inner"]["required"] == ["name"]
    assert "default" not in strict["$defs"]["Inner"]["properties"]["name"]


def test_the_estimate_grows_with_the_prompt() -> None:
    short = build_prompt(AGENT, a_history(), StepType.PLANNING, None)
    long = short.with_messages((Message("user", "x" * 3000),))
    assert long.estimated_tokens() >= short.estimated_tokens() + 1000


def test_the_cache_key_has_a_length_that_openai_takes_and_ends_with_the_version() -> None:
    agent = Agent("a" * 64, "Help.")
    key = build_prompt(agent, a_history(), StepType.PLANNING, None).cache_key
    assert len(key) <= 64
    assert key.endswith(agent.version)


def test_text_of_many_bytes_is_estimated_by_its_bytes() -> None:
    empty = build_prompt(AGENT, a_history(), StepType.PLANNING, None).estimated_tokens()
    chinese = build_prompt(AGENT, a_history(goal="电池" * 300), StepType.PLANNING, None)
    assert chinese.estimated_tokens() - empty > 550
