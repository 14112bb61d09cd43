"""What identifies a question: everything that its answer follows from, and whose it is."""

import string
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ratchet.domain import keys
from ratchet.domain.chat_request import question_digest, request_body
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.models import ModelSpec, built_in
from ratchet.domain.prompt import Prompt, ResponseFormat

SPEC = built_in().spec("gpt-4o")
LOOK: dict[str, Any] = {
    "type": "function",
    "function": {"name": "look", "description": "", "parameters": {"type": "object"}},
}
PROMPT = Prompt(
    (Message("system", "Help."), Message("user", "Find it.")), (LOOK,), "auto", None, "helper:1"
)
tenants = st.text(string.ascii_letters + string.digits + "_.:@-", min_size=1, max_size=12).filter(
    lambda text: text[0].isalnum()
)
# Lone surrogates too: JSON can carry them up to here.
texts = st.text(st.characters(), max_size=12)
calls = st.builds(ToolCall, texts, texts, texts)
messages = st.one_of(
    st.builds(Message, st.sampled_from(["system", "user"]), texts),
    st.builds(Message, st.just("assistant"), texts, st.tuples(calls)),
    st.builds(Message, st.just("tool"), texts, st.just(()), texts),
)
formats = st.none() | st.builds(
    ResponseFormat, texts, st.dictionaries(texts, texts, max_size=2), st.booleans()
)
prompts = st.builds(
    Prompt,
    st.lists(messages, max_size=3).map(tuple),
    st.sampled_from([(), (LOOK,)]),
    st.sampled_from(["auto", "none"]),
    formats,
    texts,
)
specs = st.sampled_from(
    [SPEC, built_in().spec("o3-mini"), replace(SPEC, name="old", has_json_schema=False)]
)


@given(prompts, specs, tenants, tenants)
def test_two_tenants_with_the_same_prompt_never_share(
    prompt: Prompt, spec: ModelSpec, one: str, other: str
) -> None:
    mine, theirs = (question_digest(tenant, prompt, spec) for tenant in (one, other))
    assert (mine == theirs) == (one == other)
    # Nor would they if the digests were the same.
    assert (keys.cache_key(one, mine) == keys.cache_key(other, mine)) == (one == other)
    assert keys.cache_key(one, mine).startswith(f"{keys.tenant_key(one)}#CACHE#")


@given(prompts, specs, prompts, specs)
def test_digests_are_equal_just_when_the_bodies_are(
    one: Prompt, one_spec: ModelSpec, other: Prompt, other_spec: ModelSpec
) -> None:
    def body(prompt: Prompt, spec: ModelSpec) -> dict[str, Any]:
        sent = request_body(prompt, spec, max_output_tokens=500)
        return {k: v for k, v in sent.items() if "cache_key" not in k and "max_" not in k}

    same = body(one, one_spec) == body(other, other_spec)
    assert (question_digest("t", one, one_spec) == question_digest("t", other, other_spec)) == same


@given(prompts, specs)
def test_the_name_of_the_prefix_cache_is_no_part_of_the_question(
    prompt: Prompt, spec: ModelSpec
) -> None:
    other = replace(prompt, cache_key=prompt.cache_key + "2")
    assert question_digest("acme", prompt, spec) == question_digest("acme", other, spec)


def test_whatever_shapes_the_answer_makes_another_question() -> None:
    strict = ResponseFormat("output", {"type": "object"}, strict=True)
    changed = [
        replace(PROMPT, messages=(*PROMPT.messages, Message("user", ""))),
        replace(PROMPT, messages=PROMPT.messages[::-1]),
        replace(PROMPT, messages=(Message("system", "Help.Find it."), Message("user", ""))),
        replace(PROMPT, tools=()),
        replace(PROMPT, tools=(LOOK, LOOK)),
        replace(PROMPT, tool_choice="none"),
        replace(PROMPT, response_format=strict),
        replace(PROMPT, response_format=replace(strict, name="plan")),
        replace(PROMPT, response_format=replace(strict, strict=False)),
    ]
    digests = {question_digest("acme", prompt, SPEC) for prompt in [PROMPT, *changed]}
    assert len(digests) == len(changed) + 1
    models = [SPEC, replace(SPEC, name="gpt-4o-2"), replace(SPEC, is_reasoning=True)]
    assert len({question_digest("acme", PROMPT, spec) for spec in models}) == 3


def test_a_lone_surrogate_is_not_taken_for_a_question_mark() -> None:
    one, other = (replace(PROMPT, messages=(Message("user", t),)) for t in ("\ud800", "?"))
    assert question_digest("acme", one, SPEC) != question_digest("acme", other, SPEC)
