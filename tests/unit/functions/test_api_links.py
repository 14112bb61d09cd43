"""GET and POST /v1/links/{token}: a person answers by a click, and nothing else does."""

import base64
import json
from typing import Any

import pytest

from functions.api import current, handler
from ratchet import Agent, tool
from ratchet.app.answer_by_link import AnswerByLink
from ratchet.app.decision_links import DecisionLinks
from ratchet.app.rate_gate import RateGate
from ratchet.contracts.access import Identity
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.messages import ToolCall
from ratchet.domain.request_rate import RequestRate
from ratchet.domain.steps import Interrupt, Paused
from ratchet.model_ports import ModelCall
from ratchet.testing.chat import Outcome, asks, says
from ratchet.testing.signing_keys import InMemorySigningKeys
from ratchet.testing.tenant_rates import InMemoryTenantRates
from tests.api_wiring import wired
from tests.envelopes import LambdaContext, envelope
from tests.unit.shared.app.world import World

HOSTILE = '"><script>alert(1)</script><form action=//evil> \u202eyap\u200b'


@tool(effect="unsafe", approval="always")
def refund(to: str) -> str:
    """Pay back."""
    return f"paid {to}"


@tool(effect="unsafe", approval="always")
def close_account() -> str:
    """Close it."""
    return "closed"


AGENT = Agent("support", "Help.", tools=[refund, close_account], policy="react", ask_human=True)


def script(asked: ModelCall) -> Outcome:
    if any(m.role == "tool" for m in asked.prompt.messages):
        return says("Done.")
    goal = next(m.content or "" for m in asked.prompt.messages if m.role == "user")
    if "colour" in goal:
        question = {"question": HOSTILE, "choices": [f"red {HOSTILE}", "blue"]}
        return asks(ToolCall("c1", "ask_human", json.dumps(question)))
    return asks(ToolCall("c1", "refund", json.dumps({"to": HOSTILE})))


class Office(World):
    """A deployment that sends links, with a question of one task open."""

    def __init__(self, goal: str = "Refund.") -> None:
        super().__init__(AGENT, chat=script)
        self.keys = InMemorySigningKeys()
        self.links = DecisionLinks(self.keys, "table")
        self.rates = RateGate(InMemoryTenantRates(self.clock), RequestRate(2, 3))
        self.gate: RateGate | None = None
        self.ref = self.submit(TaskRequest(goal=goal), tenant="acme").task.ref
        self.run(self.ref)

    @property
    def asked(self) -> Interrupt:
        tip = self.tip(self.ref)
        assert isinstance(tip.next, Paused)
        return tip.next.interrupts[0]

    def tokens(self) -> dict[str, str]:
        return self.links.tokens(self.ref, self.asked)

    def by_link(self) -> AnswerByLink:
        gates = [] if self.gate is None else [self.gate]
        return AnswerByLink(self.store, self.decide, self.links, self.clock, *gates)

    def decided(self) -> list[tuple[str, str]]:
        made = [r.result.decision for r in self.steps(self.ref)]
        return [(decision.answer, decision.by) for decision in made if decision is not None]


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Office:
    return plugged(Office(), monkeypatch)


def plugged(office: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setattr(current, "wiring", lambda: wired(office, by_link=office.by_link()))
    return office


def request(method: str, token: str, body: str | None = None) -> dict[str, Any]:
    event = envelope("api/fork")
    path = f"/v1/links/{token}"
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["requestContext"]["http"]["method"] = method
    event["requestContext"].pop("authorizer", None)
    event["headers"]["content-type"] = "application/x-www-form-urlencoded"
    event["body"] = body
    return event


def call(event: dict[str, Any]) -> tuple[int, str, dict[str, str]]:
    answer = handler.lambda_handler(event, LambdaContext())  # type: ignore[arg-type]
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    return answer["statusCode"], answer["body"], headers


def look(token: str) -> tuple[int, str, dict[str, str]]:
    return call(request("GET", token))


def press(token: str) -> tuple[int, str, dict[str, str]]:
    return call(request("POST", token, "confirm=yes"))


def test_looking_shows_the_exact_action_and_decides_nothing(office: Office) -> None:
    before = office.tip(office.ref)
    for _ in range(3):
        status, body, headers = look(office.tokens()["approve"])
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<code>refund</code>" in body
    assert '<form method="post"><input type="hidden" name="confirm" value="yes">' in body
    assert office.tip(office.ref) == before


@pytest.mark.parametrize("goal", ["Refund.", "Ask for a colour."])
def test_nothing_that_a_model_wrote_is_markup_or_hides(
    goal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = plugged(Office(goal), monkeypatch)
    token = next(iter(office.tokens().values()))
    for body in (look(token)[1], press(token)[1], look(token)[1]):
        assert "<script" not in body
        assert body.count("<form") == body.count('<form method="post">')
        assert "\u202e" not in body
        assert "u202e" in body.replace("{", "").replace("}", "")
        assert "u200b" in body.replace("{", "").replace("}", "")
        assert "&lt;script&gt;" in body


def test_the_page_runs_nothing_leaks_nothing_and_is_kept_by_nobody(office: Office) -> None:
    token = office.tokens()["reject"]
    for _, body, headers in (look(token), press(token), look(token)):
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert "frame-ancestors 'none'" in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "http" not in body, "nothing is loaded from anywhere"
        assert token not in body


@pytest.mark.parametrize("answer", ["approve", "reject"])
def test_the_button_decides_once_as_the_link_and_the_second_click_says_what_counts(
    office: Office, answer: str
) -> None:
    tokens = office.tokens()
    status, body, _ = press(tokens[answer])
    assert status == 200
    assert f"The answer is <strong>{answer}</strong>" in body
    assert office.decided() == [(answer, "link")]
    assert office.tip(office.ref).state.status is TaskStatus.QUEUED
    other = "reject" if answer == "approve" else "approve"
    for again in (press(tokens[answer]), press(tokens[other]), look(tokens[other])):
        assert again[0] == 200
        assert f"The answer is <strong>{answer}</strong>" in again[1]
        assert "<form" not in again[1]
    assert f"This link stands for <em>{other}</em>" in look(tokens[other])[1]
    assert office.decided() == [(answer, "link")]
    assert office.run(office.ref).state.status is TaskStatus.SUCCEEDED


def test_a_choice_of_a_question_is_answered_by_its_link(monkeypatch: pytest.MonkeyPatch) -> None:
    office = plugged(Office("Ask for a colour."), monkeypatch)
    assert press(office.tokens()["blue"])[0] == 200
    assert office.decided() == [("blue", "link")]


def test_who_is_faster_while_the_button_is_pressed_counts(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = office.tokens()["approve"]
    decide = type(office.decide).__call__

    def slower(use: Any, ref: Any, asked: Any, body: Any, *, by: str = "") -> Any:
        decide(use, ref, asked, type(body)(decision="reject"), by="key:ann")
        return decide(use, ref, asked, body, by=by)

    monkeypatch.setattr(type(office.decide), "__call__", slower)
    status, body, _ = press(token)
    assert (status, "The answer is <strong>reject</strong>" in body) == (200, True)
    assert "key:ann" not in body, "who holds a link is not told who decided"
    assert office.decided() == [("reject", "key:ann")]


@pytest.mark.parametrize("body", [None, "", "confirm=no", "confirm=yes&more=1", "{}", "x" * 9_000])
def test_a_post_that_is_not_the_pages_own_decides_nothing(office: Office, body: str | None) -> None:
    status, text, _ = call(request("POST", office.tokens()["approve"], body))
    assert (status, "<form" in text) == (400, True)
    assert office.decided() == []


def test_a_form_that_the_gateway_hands_over_in_base64_is_read(office: Office) -> None:
    event = request("POST", office.tokens()["approve"])
    event["body"], event["isBase64Encoded"] = base64.b64encode(b"confirm=yes").decode(), True
    assert call(event)[0] == 200
    assert office.decided() == [("approve", "link")]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_made_up_link_is_answered_like_any_unknown_path_and_reads_nothing(
    office: Office, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = office.tokens()["approve"]
    flipped = ("A" if token[0] != "A" else "B") + token[1:]
    monkeypatch.setattr(office.memory, "load", None)
    for bad in (flipped, token[:-1], "x", "x" * 5_000):
        told = call(request(method, bad, "confirm=yes"))
        path = request(method, bad)
        path["rawPath"] = path["requestContext"]["http"]["path"] = f"/v1/nothing/{bad}"
        unknown = call(path)
        assert (told[0], told[1].replace("links", "nothing")) == (404, unknown[1])
        assert told[2] == unknown[2]


def test_after_the_question_has_closed_a_link_shows_nothing_and_reads_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = office.tokens()["approve"]
    office.clock.advance((office.asked.expires_at_ms - office.clock.now_ms()) / 1000)
    monkeypatch.setattr(office.memory, "load", None)
    for status, body, _ in (look(token), press(token)):
        assert (status, "refund" in body) == (410, False)


def test_a_link_to_a_task_that_was_cancelled_is_closed(office: Office) -> None:
    token = office.tokens()["approve"]
    office.cancel(office.ref)
    assert [look(token)[0], press(token)[0]] == [410, 410]
    assert office.decided() == []


def test_a_link_to_a_question_that_is_no_more_is_no_link(office: Office) -> None:
    foreign = office.links.tokens(TaskRef("globex", office.ref.task_id), office.asked)["approve"]
    assert look(foreign)[0] == 404
    assert press(foreign)[0] == 404
    assert office.decided() == []


def test_a_deployment_that_sends_no_links_has_none(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = office.tokens()["approve"]
    monkeypatch.setattr(current, "wiring", lambda: wired(office))
    assert [look(token)[0], press(token)[0]] == [404, 404]
    assert office.decided() == []


@pytest.mark.parametrize("auth", ["iam", "jwt", "api_key"])
def test_links_need_no_credentials_whatever_the_others_need(
    office: Office, auth: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "identity", lambda: Identity(auth))
    assert press(office.tokens()["approve"])[0] == 200


def test_links_count_against_their_tenants_rate(office: Office) -> None:
    office.gate = office.rates
    token = office.tokens()["approve"]
    assert [look(token)[0] for _ in range(4)] == [200, 200, 200, 429]
    assert look("made up")[0] == 404
