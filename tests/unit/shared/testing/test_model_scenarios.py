"""Scenario files: what is refused, which scenario and turn is chosen, what templates become."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from ratchet.testing.model_errors import ScenarioError
from ratchet.testing.model_scenarios import ScenarioBook
from ratchet.testing.model_server import ModelServer
from ratchet.testing.model_template import Template, excerpt, goal_words

Ask = Callable[..., Any]
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("find", "refund")
]


@pytest.fixture(scope="module")
def connections() -> Iterator[OpenAI]:
    with OpenAI(api_key="any", max_retries=0) as opened:
        yield opened


@pytest.fixture
def script(tmp_path: Path, connections: OpenAI) -> Iterator[Callable[[str], Ask]]:
    """Serve a scenario text and return a function that asks it for the answer's message."""
    with ExitStack() as stack:

        def serve(text: str, name: str = "scenario.yaml") -> Ask:
            (tmp_path / name).write_text(text)
            server = stack.enter_context(ModelServer.start(tmp_path))
            client = connections.with_options(base_url=server.base_url)

            def ask(*messages: Any, model: str = "gpt-4o", **options: Any) -> Any:
                whole: Any = [user(m) if isinstance(m, str) else m for m in messages]
                reply: Any = client.chat.completions.create(model=model, messages=whole, **options)
                return reply.choices[0].message

            return ask

        yield serve


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def used(name: str, result: Any, call_id: str = "call_1") -> list[dict[str, Any]]:
    function = {"name": name, "arguments": "{}"}
    call = {"id": call_id, "type": "function", "function": function}
    text = result if isinstance(result, str) else json.dumps(result)
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": text},
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: a\nturns: []", r"scenario 'a': turns: Tuple should have at least 1 item"),
        ("name: a\nturns: [{step: act}]", r"turns\.0: .*at least one of content"),
        ("name: a\nturns: [{step: plannning, content: x}]", r"turns\.0\.step"),
        ("name: a\nturns: [{content: x, contnt: y}]", r"turns\.0\.contnt: Extra inputs"),
        ("name: a\nmatch: {goal: '('}\nturns: [{content: x}]", r"match\.goal: .*regular"),
        ("name: a\nturns: [{tool_calls: [{arguments: {}}]}]", r"tool_calls\.0: .*name_like"),
        ("name: a\nturns: [{content: x}]\nfaults: [{status: 99}]", r"faults\.0\.status"),
        ("- {turns: [{content: x}]}", r"scenario 0: name: Field required"),
        ("just text", r"scenario 0: "),
        ("name: [", r"scenario\.yaml: "),
    ],
)
def test_a_wrong_file_is_refused_by_file_scenario_and_field(
    tmp_path: Path, text: str, complaint: str
) -> None:
    (tmp_path / "scenario.yaml").write_text(text)
    with pytest.raises(ScenarioError, match=rf"(?s)scenario\.yaml: .*{complaint}|{complaint}"):
        ScenarioBook.load(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no such folder"):
        ScenarioBook.load(tmp_path / "nowhere")


def test_the_default_is_tried_last_and_always_there(tmp_path: Path) -> None:
    (tmp_path / "zebra.yaml").write_text("name: zebra\nturns: [{content: x}]")
    assert [s.name for s in ScenarioBook.load(tmp_path).scenarios] == ["zebra", "default"]
    assert [s.name for s in ScenarioBook.load().scenarios][-1] == "default"


def test_unaddressed_turns_follow_each_other_and_the_last_repeats(
    script: Callable[[str], Ask],
) -> None:
    ask = script("name: a\nturns: [{content: one}, {content: two}]")
    assert ask("Go").content == "one"
    assert ask("Go", said("one"), "On").content == "two"
    assert ask("Go", said("one"), "On", said("two"), "On").content == "two"


def test_turns_are_addressed_by_step_and_their_place_in_it(script: Callable[[str], Ask]) -> None:
    ask = script(
        """
        name: steps
        turns:
          - {step: planning, content: plan}
          - {step: act, content: act 0}
          - {step: act, content: act 1}
          - {step: reasoning, content: think}
          - {step: final, index: 0, content: done}
          - {turn: 9, content: ninth}
        """
    )
    planning = ["Goal", "[ratchet:planning] Plan."]
    act = [*planning, said("plan"), "[ratchet:act] Use tools."]
    reasoning = [*act, *used("find", "x"), "[ratchet:reasoning] Think."]
    again = [*reasoning, said("think")]  # acting is announced once
    final = [*again, said("act 1"), "[ratchet:final] Answer."]
    stages = (planning, act, reasoning, again, final)
    assert [ask(*stage).content for stage in stages] == ["plan", "act 0", "think", "act 1", "done"]
    assert ask("Goal", *(said("x") for _ in range(9))).content == "ninth"


def test_an_answer_that_had_to_be_repaired_does_not_count(script: Callable[[str], Ask]) -> None:
    ask = script(
        """
        name: repair
        turns: [{step: act, tool_calls: [{name: find}]}, {step: act, content: late}]
        """
    )
    act = ["Goal", "[ratchet:act] Use tools."]
    first = ask(*act, tools=TOOLS).tool_calls[0]
    text = [*act, said(""), "[ratchet:repair] Your answer was empty."]
    unknown = [*act, *used("no_such_tool", "error: there is no such tool")]
    call, result = used("find", "error: not JSON")
    call["tool_calls"][0]["function"]["arguments"] = "{"
    broken = [*act, call, result]
    for repair in (text, unknown, broken):
        again = ask(*repair, tools=TOOLS).tool_calls[0]
        assert again.function == first.function
        assert again.id != first.id
    assert ask(*act, *used("find", "error: down"), tools=TOOLS).content == "late"


def test_a_session_history_does_not_move_the_steps_of_a_new_goal(
    script: Callable[[str], Ask],
) -> None:
    ask = script("name: a\nturns: [{step: act, content: '{{goal}}'}, {step: act, content: late}]")
    assert ask("Old goal", said("Old answer"), "New goal", "[ratchet:act]").content == "New goal"


def test_a_condition_looks_at_calls_results_and_offers(script: Callable[[str], Ask]) -> None:
    ask = script(
        """
        name: conditions
        turns:
          - {when: {offers: [refund], called_nothing: true}, tool_calls: [{name: find}]}
          - {when: {called: [find], not_called: [refund], last_tool_result: ok}, content: found}
          - {when: {offers_like: '^ref'}, content: refundable}
          - {when: {goal: 'id (?P<id>\\d+)'}, content: 'no {{match.id}}'}
        """
    )
    assert ask("Go", tools=TOOLS).tool_calls[0].function.name == "find"
    assert ask("Go", *used("find", "ok"), tools=TOOLS).content == "found"
    assert ask("Go", *used("find", "bad"), tools=TOOLS).content == "refundable"
    assert ask("Go id 7").content == "no 7"
    assert "scripted model" in ask("Go").content


def test_a_scenario_is_matched_by_goal_users_system_model_and_tools(
    script: Callable[[str], Ask],
) -> None:
    ask = script(
        """
        - {name: tools, match: {goal: same, tools: [find]}, turns: [{content: by tools}]}
        - {name: model, match: {goal: same, model: ^o3}, turns: [{content: by model}]}
        - {name: system, match: {system: polite}, turns: [{content: by system}]}
        - {name: user, match: {user: '(?P<word>early|first)'}, turns: [{content: '{{match.word}}'}]}
        """
    )
    assert ask("same", tools=TOOLS).content == "by tools"
    assert ask("same", tools=TOOLS[1:], model="o3").content == "by model"
    assert ask({"role": "developer", "content": "Be polite."}, "x").content == "by system"
    assert ask("first", said("x"), "other").content == "first"


def test_templates_keep_types_and_reach_into_results(script: Callable[[str], Ask]) -> None:
    ask = script(
        """
        name: a
        turns:
          - tool_calls:
              - name: refund
                arguments:
                  amount: '{{tool_result.find.orders.0.total}}'
                  note: 'For {{last_tool_result.orders.0.id}} of {{ goal }}'
                  list: ['{{turn}}', '{{step}}']
                  lost: '{{last_tool_result.orders.9 | nobody}}'
                  gone: '{{tool_result.none}}'
        """
    )
    result = {"orders": [{"id": "A-1", "total": 12.5}]}
    (call,) = ask("Ann", *used("find", result), tools=TOOLS).tool_calls
    assert json.loads(call.function.arguments) == {
        "amount": 12.5,
        "note": "For A-1 of Ann",
        "list": [1, "unmarked"],
        "lost": "nobody",
        "gone": "[nothing at tool_result.none]",
    }


def test_a_template_in_a_goal_is_not_filled() -> None:
    template = Template({"goal": "{{secret}}", "secret": "no"})
    assert template.fill({"a": ["{{goal}} x", 1]}) == {"a": ["{{secret}} x", 1]}


def test_json_is_fitted_to_a_strict_schema_and_calls_to_the_request(
    script: Callable[[str], Ask],
) -> None:
    ask = script(
        """
        name: a
        turns: [{json: {a: 1, extra: 2}, content: In words.}]
        """
    )
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    strict = {"name": "x", "strict": True, "schema": schema}
    output: dict[str, Any] = {"type": "json_schema", "json_schema": strict}
    assert json.loads(ask("Go", response_format=output).content) == {"a": 1, "b": False}
    loose = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert json.loads(ask("Go", response_format=loose).content) == {"a": 1, "extra": 2}
    assert ask("Go").content == "In words."


def test_parallel_calls_are_one_call_when_the_request_says_so(
    script: Callable[[str], Ask],
) -> None:
    ask = script("name: a\nturns: [{tool_calls: [{name: find}, {name: refund}]}]")
    assert len(ask("Go", tools=TOOLS).tool_calls) == 2
    assert len(ask("Go", tools=TOOLS, parallel_tool_calls=False).tool_calls) == 1
    assert ask("Go", tools=TOOLS, tool_choice="none").content == "I have what I need."


def test_a_refusal_and_a_finish_reason_can_be_scripted(script: Callable[[str], Ask]) -> None:
    ask = script("name: a\nturns: [{refusal: No., finish_reason: stop, latency_ms: 1}]")
    assert (ask("Go").refusal, ask("Go").content) == ("No.", None)


def test_a_custom_default_without_a_turn_for_everything_says_so(tmp_path: Path) -> None:
    (tmp_path / "default.yaml").write_text("name: d\nturns: [{step: act, content: x}]")
    with (
        ModelServer.start(tmp_path) as server,
        OpenAI(base_url=server.base_url, api_key="x", max_retries=0) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "x"}])
    assert caught.value.code == "no_scripted_turn"


def test_words_and_excerpts_are_what_a_reader_would_pick() -> None:
    assert goal_words("What size battery does a cabin need?") == "size battery cabin"
    assert goal_words("the") == "the"
    assert excerpt({"text": "# Title\n\nFirst\nline."}) == "First line."
    assert excerpt("Short one. " + "long " * 100) == "Short one."
    assert excerpt("word " * 100).endswith("word ...")


def test_a_summary_carries_the_place_of_the_conversation(script: Callable[[str], Ask]) -> None:
    ask = script(
        """
        name: steps
        turns:
          - {step: act, tool_calls: [{name: find}]}
          - {step: act, content: '{{tool_result.find.id}} {{turn}}'}
        """
    )
    opening = ["Goal", "[ratchet:planning] Plan.", said("plan"), "[ratchet:act] Use tools."]
    whole = [*opening, *used("find", '{"id": "A-1"}')]
    summary = ask(*whole, "[ratchet:compaction] Sum up.").content
    after = ["Goal", "[ratchet:compaction] Sum up.", said(summary), "[ratchet:continue] Go on."]
    assert ask(*after, tools=TOOLS).content == ask(*whole, tools=TOOLS).content == "A-1 2"
    again = ask(*after, said("A-1 2"), "[ratchet:compaction] Sum up.").content
    assert '"act":2' in again


def test_a_summary_may_be_scripted_and_may_forget(script: Callable[[str], Ask]) -> None:
    ask = script("name: a\nturns: [{step: compaction, content: short}, {content: one}]")
    assert ask("Go", said("one"), "[ratchet:compaction] Sum up.").content == "short"
    assert ask("Go", "[ratchet:compaction] Sum up.", said("short"), "On").content == "one"
