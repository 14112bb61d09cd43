import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from ratchet import Agent, Limits, ToolContext, tool
from ratchet.contracts.limits import MAX_TOOL_RESULT_CHARS
from ratchet.contracts.names import Effect
from ratchet.domain.tools import ToolArgumentsInvalid, as_tool

CONTEXT = ToolContext("acme", "task_1", "ann", "key-1")


class Place(BaseModel):
    city: str


@tool(effect="idempotent")
def book(
    place: Place, nights: Annotated[int, Field(ge=1)], context: ToolContext, note: str = ""
) -> dict[str, Any]:
    """Book a room.

    Twice with the same key is once.
    """
    return {"city": place.city, "nights": nights, "key": context.idempotency_key, "note": note}


BOOK = as_tool(book)


def test_the_schema_comes_from_the_signature_and_never_shows_the_context() -> None:
    schema = BOOK.schema()["function"]
    assert schema["name"] == "book"
    assert schema["description"].startswith("Book a room.")
    assert set(schema["parameters"]["properties"]) == {"place", "nights", "note"}
    assert schema["parameters"]["required"] == ["place", "nights"]
    assert schema["parameters"]["additionalProperties"] is False
    assert "title" not in json.dumps(schema["parameters"]["properties"])


def test_a_valid_call_gets_values_of_the_declared_types_and_its_key() -> None:
    arguments = BOOK.parse('{"place":{"city":"Bern"},"nights":2}')
    assert arguments["place"] == Place(city="Bern")
    assert json.loads(BOOK.call(arguments, CONTEXT))["key"] == "key-1"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ('{"place":{"city":"Bern"}}', "nights: Field required"),
        ('{"place":{"city":"Bern"},"nights":"2"}', "nights"),
        ('{"place":{"city":"Bern"},"nights":0}', "greater than or equal to 1"),
        ('{"place":{"city":"Bern"},"nights":1,"extra":1}', "extra"),
        ('{"place":{"city":"Bern"},"nights":1,"context":{"tenant":"evil"}}', "context"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_in_words_for_the_model(
    text: str, complaint: str
) -> None:
    with pytest.raises(ToolArgumentsInvalid, match="invalid arguments for book") as caught:
        BOOK.parse(text)
    assert complaint in str(caught.value)


class Order(BaseModel):
    amount: float


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize(
    "text", ['{"amount":%s}', '{"amount":1,"order":{"amount":%s}}', '{"amount":1,"more":[%s]}']
)
def test_a_number_that_passes_by_every_bound_is_refused_wherever_it_stands(
    text: str, number: str
) -> None:
    @tool(effect="unsafe", approval=lambda amount, **_: amount > 100)
    def pay(amount: float, order: Order | None = None, more: Any = None) -> str:
        return "paid"

    with pytest.raises(ToolArgumentsInvalid, match=f"pay: {number} is not a finite number"):
        as_tool(pay).parse(text % number)


def test_an_undeclared_effect_is_taken_as_unsafe() -> None:
    @tool
    def act() -> str:
        return "done"

    assert as_tool(act).effect is Effect.UNSAFE
    assert not as_tool(act).parallel
    assert act() == "done"


def test_only_reads_run_beside_each_other_unless_declared() -> None:
    @tool(effect="read")
    def look() -> str:
        return ""

    @tool(effect="read", parallel=False)
    def look_alone() -> str:
        return ""

    assert as_tool(look).parallel
    assert not as_tool(look_alone).parallel


def test_a_long_result_is_cut_and_says_so() -> None:
    @tool(effect="read")
    def dump() -> str:
        return "x" * (MAX_TOOL_RESULT_CHARS + 5)

    text = as_tool(dump).call({}, CONTEXT)
    assert text.endswith(f"[cut: {MAX_TOOL_RESULT_CHARS + 5} characters in all]")


def test_a_result_that_no_schema_knows_is_still_a_result() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "<odd>"

    @tool(effect="unsafe")
    def act() -> dict[str, Any]:
        return {"made": Odd()}

    assert as_tool(act).call({}, CONTEXT) == '{"made":"<odd>"}'


def in_a_circle() -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["again"] = found
    return found


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("says nothing")


@pytest.mark.parametrize(
    ("value", "text"),
    [(b"\xff", "b'\\xff'"), (in_a_circle(), "{'again': {...}}"), (Mute(), "<Mute>")],
)
def test_a_result_that_json_cannot_hold_is_still_a_result(value: object, text: str) -> None:
    @tool(effect="unsafe")
    def act() -> object:
        return value

    assert as_tool(act).call({}, CONTEXT) == text


async def later(n: int = 0) -> None: ...


async def one_by_one(n: int = 0) -> AsyncIterator[int]:
    yield n


@pytest.mark.parametrize(
    "said", [{"function": later}, {"function": one_by_one}, {"verify": later}, {"approval": later}]
)
def test_what_nobody_would_await_is_refused_where_it_is_written(said: dict[str, Any]) -> None:
    def plain(n: int) -> int:
        return n

    function = said.pop("function", plain)
    with pytest.raises(TypeError, match="not `async`"):
        tool(effect="unsafe", **said)(function)


def test_parameters_that_no_call_could_fill_are_refused_where_they_are_written() -> None:
    def by_place(n: int, /) -> None: ...

    def hidden(_n: int) -> None: ...

    def settings(model_config: str) -> None: ...

    def perhaps(context: ToolContext | None = None) -> None: ...

    def foreign(n: Mute) -> None: ...

    for function, why in (
        (by_place, "cannot be given by name"),
        (hidden, "cannot be named _n"),
        (settings, "cannot be named model_config"),
        (perhaps, "must be ToolContext alone"),
        (foreign, "has no JSON schema.*Mute"),
    ):
        with pytest.raises(TypeError, match=why):
            tool(function)


def test_a_parameter_named_as_a_property_of_pydantic_gets_its_argument() -> None:
    def search(model_fields_set: str) -> str:
        return model_fields_set

    with pytest.warns(UserWarning, match="shadows an attribute"):
        found = as_tool(tool(search))
    assert found.call(found.parse('{"model_fields_set":"x"}'), CONTEXT) == "x"


@pytest.mark.parametrize("name", ["", "look up", "n\u00e4chste", "x" * 65])
def test_a_name_that_providers_refuse_is_refused_where_it_is_written(name: str) -> None:
    def look() -> None: ...

    look.__name__ = name
    with pytest.raises(ValueError, match="letters"):
        tool(look)


def test_functions_without_a_schema_are_refused_where_they_are_written() -> None:
    with pytest.raises(TypeError, match="needs a type"):

        @tool(effect="read")
        def untyped(x) -> str:  # type: ignore[no-untyped-def]
            return ""

    with pytest.raises(TypeError, match="no schema"):

        @tool(effect="read")
        def open_ended(*args: str) -> str:
            return ""

    with pytest.raises(TypeError, match="decorate it"):
        as_tool(len)


def test_an_agent_is_checked_where_it_is_written() -> None:
    for bad in (
        {"name": "Bad Name"},
        {"policy": "guess"},
        {"tools": [book, book]},
    ):
        arguments: dict[str, Any] = {"name": "good", "instructions": "x", **bad}
        with pytest.raises(ValueError, match="agent"):
            Agent(**arguments)


@pytest.mark.parametrize(
    "wrong",
    [
        {"output": dict},
        {"output": list[str]},
        {"memory": True},
        {"semantic_cache": 0.9},
        {"check": "careful"},
        {"check": later},
        {"limits": {"max_steps": 3}},
        {"limits": Limits(max_cost_usd=float("nan"))},
        {"limits": Limits(max_cost_usd=float("inf"))},
        {"limits": Limits(max_cost_usd=0)},
        {"limits": Limits(max_steps=0)},
        {"limits": Limits(max_steps="5")},  # type: ignore[arg-type]
        {"limits": Limits(max_tokens=-1)},
        {"limits": Limits(deadline_seconds=1.5)},  # type: ignore[arg-type]
    ],
)
def test_what_only_a_task_would_stumble_over_is_refused_in_the_agents_name(
    wrong: dict[str, Any],
) -> None:
    (name,) = wrong
    with pytest.raises((TypeError, ValueError), match=f"agent 'good'.*{name}"):
        Agent("good", "x", **wrong)


def test_the_version_follows_what_shapes_the_prompts() -> None:
    agent = Agent("a", "x", tools=[book])
    assert agent.version == Agent("a", "x", tools=[book]).version
    assert agent.version != Agent("a", "y", tools=[book]).version
    assert agent.version != Agent("a", "x").version


def test_a_call_needs_approval_as_its_tool_says() -> None:
    def asks(approval: Any, *, is_tainted: bool = False) -> bool:
        @tool(effect="read", approval=approval)
        def look(n: int) -> str:
            return ""

        return as_tool(look).needs_approval({"n": 3}, is_tainted=is_tainted)

    assert asks("always")
    assert not asks("never", is_tainted=True)
    assert not asks("untrusted")
    assert asks("untrusted", is_tainted=True)
    assert asks(lambda n: n > 2)
    assert not asks(lambda n: n > 3)
    assert asks(lambda n: n / 0), "nobody can tell, so a person must"


def test_an_approval_that_means_nothing_is_refused_where_it_is_written() -> None:
    with pytest.raises(TypeError, match="approval is 'always'"):

        @tool(approval="sometimes")  # type: ignore[call-overload,untyped-decorator]
        def pay() -> str:
            return ""
