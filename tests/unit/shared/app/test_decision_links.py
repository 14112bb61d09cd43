"""Signed links: what they grant, and that nothing else than what was signed is granted."""

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.app.decision_links import DecisionLinks, Grant, LinkBook, digest_of
from ratchet.app.events import event_of
from ratchet.contracts.limits import MAX_EVENT_BYTES
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Complexity, InterruptKind, StepType, TaskStatus
from ratchet.domain.steps import HeldCall, Interrupt, Paused, Step
from ratchet.domain.task import History, TaskState
from ratchet.testing.signing_keys import InMemorySigningKeys
from tests.contract.store.samples import START_MS, record_of, ref_of, task_of

REF = ref_of()
CALL = HeldCall("c1", "pay", '{"amount":5}', 1, "d" * 64)
ASKED = Interrupt(
    "int_1", InterruptKind.APPROVAL, "c1", "Pay?", ("approve", "reject", "edit"), 99, CALL
)


def links_of(keys: InMemorySigningKeys | None = None, audience: str = "table") -> DecisionLinks:
    return DecisionLinks(keys or InMemorySigningKeys(), audience)


def test_every_answer_that_needs_but_a_click_has_a_link_that_grants_it() -> None:
    links = links_of()
    tokens = links.tokens(REF, ASKED)
    assert list(tokens) == ["approve", "reject"], "an edit needs arguments"
    expected = [Grant(REF, "int_1", place, 99, digest_of(ASKED)) for place in (0, 1)]
    assert [links.read(token) for token in tokens.values()] == expected
    assert all(grant.is_for(ASKED) for grant in expected)
    assert links.tokens(REF, ASKED) == tokens


def test_a_question_that_takes_any_text_has_no_links() -> None:
    asked = replace(ASKED, kind=InterruptKind.QUESTION, choices=(), call=None)
    assert links_of().tokens(REF, asked) == {}


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, call=replace(CALL, digest="e" * 64)),
        replace(ASKED, call=None),
        replace(ASKED, question="Pay more?"),
        replace(ASKED, call_id="c2"),
        replace(ASKED, kind=InterruptKind.BUDGET),
        replace(ASKED, choices=("reject", "approve", "edit")),
    ],
)
def test_a_grant_is_for_exactly_what_was_asked(other: Interrupt) -> None:
    grant = links_of().read(links_of().tokens(REF, ASKED)["approve"])
    assert grant is not None
    assert not grant.is_for(other)


def test_a_link_is_good_under_the_key_before_and_under_one_that_is_newer_than_known() -> None:
    keys = InMemorySigningKeys()
    before = links_of(keys).tokens(REF, ASKED)["approve"]
    keys.replace("another root key")
    assert links_of(keys).read(before) is not None
    newer = links_of(InMemorySigningKeys(["another root key"])).tokens(REF, ASKED)["approve"]
    assert links_of(keys).read(newer) is not None
    keys.replace("a third")
    keys.roots(fresh=True)
    assert links_of(keys).read(before) is None, "two keys ago"


def test_a_link_of_another_deployment_is_refused_also_under_the_same_key() -> None:
    token = links_of(audience="other").tokens(REF, ASKED)["approve"]
    assert links_of().read(token) is None


def tampered() -> dict[str, str]:
    token = links_of().tokens(REF, ASKED)["approve"]
    data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    mac, body = data[:32], json.loads(data[32:])

    def made(*fields: object) -> str:
        text = json.dumps(fields, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(mac + text).decode().rstrip("=")

    assert made(*body) == token
    tenant, task, asked, choice, expires, digest = body
    return {
        "other tenant": made("globex", task, asked, choice, expires, digest),
        "other task": made(tenant, ref_of(2).task_id, asked, choice, expires, digest),
        "other question": made(tenant, task, "int_2", choice, expires, digest),
        "other answer": made(tenant, task, asked, 1, expires, digest),
        "longer life": made(tenant, task, asked, choice, expires + 1, digest),
        "other action": made(tenant, task, asked, choice, expires, "0" * 32),
        "another field": made(*body, "more"),
        "no signature": base64.urlsafe_b64encode(data[32:]).decode().rstrip("="),
        "signature alone": base64.urlsafe_b64encode(mac).decode().rstrip("="),
        "zero signature": base64.urlsafe_b64encode(bytes(32) + data[32:]).decode().rstrip("="),
        "padded": token + "=",
        "two": token + token,
        "another alphabet": token + "+/",
        "not ASCII": token + "\u00e9",
        "empty": "",
        "very long": "A" * 100_000,
    }


@pytest.mark.parametrize("how", list(tampered()))
def test_what_was_altered_grants_nothing(how: str) -> None:
    assert links_of().read(tampered()[how]) is None


@given(st.data())
def test_no_single_other_character_is_taken(data: st.DataObject) -> None:
    token = links_of().tokens(REF, ASKED)["approve"]
    place = data.draw(st.integers(0, len(token) - 1))
    char = data.draw(st.characters())
    other = token[:place] + char + token[place + 1 :]
    assert (links_of().read(other) is None) is (other != token)


def test_a_link_is_announced_with_its_question_and_left_out_of_what_is_too_long() -> None:
    book = LinkBook(links_of(), "https://api.example.com/")
    tip = paused(ASKED)
    (told,) = json.loads(event_of(tip, book).body)["data"]["interrupts"]
    tokens = links_of().tokens(tip.task.ref, ASKED)
    assert told["links"] == {
        answer: f"https://api.example.com/v1/links/{token}" for answer, token in tokens.items()
    }
    assert event_of(tip, book) == event_of(tip, book), "the same bytes on every try"
    (plain,) = json.loads(event_of(tip).body)["data"]["interrupts"]
    assert "links" not in plain
    many = [replace(ASKED, id=f"int_{n}", question="\u20ac" * 10_000) for n in range(16)]
    tenant = TaskRef("t" * 128, REF.task_id)
    for base in ("https://api.example.com", "https://" + "a" * 400 + ".example.com"):
        event = event_of(paused(*many, ref=tenant), LinkBook(links_of(), base))
        assert len(event.body) <= MAX_EVENT_BYTES


def paused(*asked: Interrupt, ref: TaskRef = REF) -> History:
    following = Paused(asked, Step(StepType.TOOL_DISPATCH, Complexity.SIMPLE))
    state = TaskState(TaskStatus.INPUT_REQUIRED, START_MS)
    return History(replace(task_of(), ref=ref), state, (record_of(1, following),))
