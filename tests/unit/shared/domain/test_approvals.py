"""The digest of an action: the same for the same action, another for any other."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.contracts.messages import TaskRef
from ratchet.domain.approvals import canonical, digest_of, edited, held_call, value_of
from ratchet.domain.messages import ToolCall

REF = TaskRef("acme", "task_1")
CALL = ToolCall("c1", "pay", '{"to": "bob", "amount": 5}')


def digest(ref: TaskRef = REF, call: ToolCall = CALL, step: int = 3, version: str = "v1") -> str:
    return held_call(ref, call, step=step, version=version).digest


def test_the_same_action_has_the_same_digest_however_its_json_is_written() -> None:
    other = ToolCall("c1", "pay", '{"amount":5,\n"to":"\\u0062ob"}')
    assert digest(call=other) == digest()


@pytest.mark.parametrize(
    "other",
    [
        {"ref": TaskRef("globex", "task_1")},
        {"ref": TaskRef("acme", "task_2")},
        {"step": 4},
        {"version": "v2"},
        {"call": ToolCall("c2", "pay", CALL.arguments)},
        {"call": ToolCall("c1", "send", CALL.arguments)},
        {"call": ToolCall("c1", "pay", '{"to": "bob", "amount": 5.0}')},
        {"call": ToolCall("c1", "pay", '{"to": "bob", "amount": "5"}')},
        {"call": ToolCall("c1", "pay", '{"to": "bob"}')},
    ],
)
def test_any_other_action_has_another_digest(other: dict[str, Any]) -> None:
    assert digest(**other) != digest()


def test_an_edited_call_has_the_digest_of_its_new_arguments() -> None:
    held = held_call(REF, CALL, step=3, version="v1")
    changed = edited(REF, held, '{"amount":6,"to":"bob"}', version="v1")
    assert changed.digest != held.digest
    assert digest_of(REF, changed, version="v1") == changed.digest
    assert edited(REF, held, held.arguments, version="v1") == held


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values, max_size=4))
def test_the_canonical_form_means_the_same_and_is_its_own(arguments: dict[str, Any]) -> None:
    text = json.dumps(arguments)
    form = canonical(text)
    assert canonical(form) == form
    assert json.loads(form) == arguments
    assert form.encode("utf-8").decode() == form


def test_nothing_is_no_arguments_and_what_is_no_json_stays_as_it_is() -> None:
    assert canonical("") == "{}"
    assert canonical("{cut off") == "{cut off"


def test_people_read_what_json_has_no_word_for() -> None:
    assert value_of('{"a":NaN,"b":-Infinity,"c":[1]}') == {"a": "NaN", "b": "-Infinity", "c": [1]}
    assert value_of("{cut off") == "{cut off"
