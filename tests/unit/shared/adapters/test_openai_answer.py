"""Reading completions whose every field may be missing or wrong."""

import json
from dataclasses import replace
from typing import Any

import pytest

from ratchet.adapters import openai_answer
from ratchet.adapters.openai_answer import UnreadableAnswer
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.models import Usage, built_in
from ratchet.domain.prompt import Prompt
from ratchet.model_ports import ModelAnswer, ModelCall

PROMPT = Prompt((Message("user", "Say hi."),), (), "auto", None, "agent:abc")
CALL = ModelCall("gpt-4o", PROMPT, max_output_tokens=500, timeout_seconds=30)


def completion(message: object, usage: object = None, finish: object = "stop") -> bytes:
    data = {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}
    return json.dumps(data).encode()


def parse_answer(body: bytes, call: ModelCall) -> ModelAnswer:
    return openai_answer.parse_answer(body, call, built_in().spec(call.model))


def parsed(message: object, usage: object = None, finish: object = "stop") -> ModelAnswer:
    return parse_answer(completion(message, usage, finish), CALL)


def test_usage_is_read_with_its_details() -> None:
    usage = {
        "prompt_tokens": 2000,
        "completion_tokens": 300,
        "prompt_tokens_details": {"cached_tokens": 1024},
        "completion_tokens_details": {"reasoning_tokens": 256},
    }
    assert parsed({"content": "hi"}, usage).usage == Usage(2000, 1024, 300, 256)


@pytest.mark.parametrize(
    "usage",
    [
        *(None, {}, {"prompt_tokens": -1, "completion_tokens": 3}, {"prompt_tokens": 5}, "free"),
        {"prompt_tokens": 10**320, "completion_tokens": 3},
    ],
)
def test_missing_usage_is_estimated_and_never_free(usage: object) -> None:
    usage_counted = parsed({"content": "x" * 300}, usage).usage
    assert usage_counted.input_tokens >= PROMPT.estimated_tokens()
    assert usage_counted.output_tokens >= 100
    assert usage_counted.total_tokens < 10**6


def test_missing_usage_of_a_reasoning_model_counts_all_that_it_was_allowed() -> None:
    body = completion({"content": "4"})
    assert parse_answer(body, replace(CALL, model="o3")).usage.output_tokens == 500


@pytest.mark.parametrize(
    ("details", "beside"),
    [
        ({"cache_write_tokens": 700}, {}),  # OpenAI, OpenRouter
        ({"cache_write_tokens": 0, "cache_creation_tokens": 700}, {}),  # LiteLLM
        ({}, {"cache_creation_input_tokens": 700}),
        (None, {"cache_creation_input_tokens": 700}),
    ],
)
def test_cache_writes_are_read_as_each_gateway_reports_them(details: Any, beside: Any) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 1, "prompt_tokens_details": details}
    found = parsed({"content": "hi"}, usage | beside).usage
    assert (found.input_tokens, found.cache_write_tokens) == (1000, 700)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens_details": {"cached_tokens": 700}},
        {"prompt_tokens_details": None, "cached_tokens": 700},  # Moonshot
        {"prompt_cache_hit_tokens": 700, "prompt_cache_miss_tokens": 300},  # DeepSeek
    ],
)
def test_cached_tokens_are_read_as_each_provider_reports_them(usage: dict[str, Any]) -> None:
    counts = {"prompt_tokens": 1000, "completion_tokens": 1}
    assert parsed({"content": "hi"}, counts | usage).usage == Usage(1000, 700, 1)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        # xAI: https://docs.x.ai/docs/key-information/consumption-and-rate-limits
        (
            {
                "completion_tokens": 1499,
                "total_tokens": 14428,
                "completion_tokens_details": {"reasoning_tokens": 2809},
            },
            Usage(10120, 0, 4308, 2809),
        ),
        # Gemini's OpenAI-compatible endpoint
        ({"completion_tokens": 198, "total_tokens": 10723}, Usage(10120, 0, 603, 405)),
        ({"completion_tokens": 198, "total_tokens": 5}, Usage(10120, 0, 198)),
        ({"completion_tokens": 198, "total_tokens": "many"}, Usage(10120, 0, 198)),
    ],
)
def test_reasoning_that_only_the_total_counts_is_output_too(usage: Any, expected: Usage) -> None:
    assert parsed({"content": "hi"}, {"prompt_tokens": 10120} | usage).usage == expected


def test_tokens_said_to_be_both_written_and_cached_count_as_written() -> None:
    details = {"cached_tokens": 800, "cache_write_tokens": 900}
    usage = {"prompt_tokens": 1000, "completion_tokens": 1, "prompt_tokens_details": details}
    found = parsed({"content": "hi"}, usage).usage
    assert (found.cache_write_tokens, found.cached_tokens) == (900, 100)


def test_cached_tokens_never_exceed_the_input() -> None:
    details = {"cached_tokens": 50}
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": details}
    assert parsed({"content": "hi"}, usage).usage.cached_tokens == 10


def test_tool_calls_without_or_with_doubled_ids_get_ids_by_their_place() -> None:
    function = {"name": "look", "arguments": "{}"}
    items = [
        {"function": function},
        {"id": "a", "function": function},
        {"id": "a", "function": function},
    ]
    assert [c.id for c in parsed({"tool_calls": items}).tool_calls] == ["call_0", "a", "call_2"]


def test_an_id_that_is_made_up_is_not_one_that_the_answer_has() -> None:
    function = {"name": "look", "arguments": "{}"}
    items = [{"id": "call_1", "function": function}, {"id": None, "function": function}]
    assert [c.id for c in parsed({"tool_calls": items}).tool_calls] == ["call_1", "call_2"]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ({"name": "look", "arguments": {"a": 1}}, ToolCall("c", "look", '{"a": 1}')),
        ({"name": "look"}, ToolCall("c", "look", "{}")),
        (
            {"name": "functions.look", "arguments": "not json"},
            ToolCall("c", "functions_look", "not json"),
        ),
        ({"name": "", "arguments": ""}, ToolCall("c", "unnamed", "")),
    ],
)
def test_tool_calls_come_out_in_a_form_that_the_next_request_can_repeat(
    function: dict[str, Any], expected: ToolCall
) -> None:
    assert parsed({"tool_calls": [{"id": "c", "function": function}]}).tool_calls == (expected,)


@pytest.mark.parametrize("finish", ["length", "content_filter", "something new"])
def test_finish_reasons_are_kept_as_they_came(finish: str) -> None:
    assert parsed({"content": ""}, finish=finish).finish_reason == finish


@pytest.mark.parametrize("finish", ["model_length", "max_tokens"])
def test_an_answer_that_was_cut_off_says_so_in_openais_word(finish: str) -> None:
    assert parsed({"content": "half an ans"}, finish=finish).finish_reason == "length"


@pytest.mark.parametrize("finish", ["error", "insufficient_system_resource"])
def test_what_the_provider_broke_off_is_no_answer(finish: str) -> None:
    with pytest.raises(UnreadableAnswer, match="broke it off"):
        parsed({"content": "half an ans"}, finish=finish)


def test_content_in_parts_is_its_text_without_the_thinking() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    parts = [thinking, {"type": "text", "text": "Hi "}, {"type": "text", "text": "there."}]
    assert parsed({"content": parts}).content == "Hi there."
    assert parsed({"content": [thinking]}).content == ""


def test_a_missing_finish_reason_and_an_empty_message_are_an_answer_too() -> None:
    answer = parsed({}, finish=None)
    assert (answer.content, answer.tool_calls, answer.finish_reason) == (None, (), "unknown")


def test_a_refusal_is_kept() -> None:
    assert parsed({"content": None, "refusal": "I will not."}).refusal == "I will not."


def test_lone_surrogates_do_not_reach_the_checkpoint() -> None:
    body = rb'{"choices":[{"message":{"content":"\ud800 ok"},"finish_reason":"stop"}]}'
    assert parse_answer(body, CALL).content == "? ok"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"<html>",
        b"[" * 100_000,
        b"[]",
        b'{"error": {"message": "down"}}',
        b'{"choices": []}',
        b'{"choices": ["no"]}',
        b'{"choices": [{"message": 5}]}',
        b'{"choices": [{"message": {"content": ["parts"]}}]}',
        b'{"choices": [{"message": {"content": [{"type": "text", "text": 5}]}}]}',
        b'{"choices": [{"message": {"tool_calls": {"a": 1}}}]}',
        b'{"choices": [{"message": {"tool_calls": [{"id": "x"}]}}]}',
        b'{"choices": [{"message": {"tool_calls": ["x"]}}]}',
    ],
)
def test_what_is_no_completion_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableAnswer):
        parse_answer(body, CALL)
