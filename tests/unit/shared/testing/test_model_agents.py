"""The shipped scenarios, driven to the end by a loop that calls the model as Ratchet does."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from ratchet.testing.model_server import ModelServer

DOCUMENTS = Path(__file__).parents[4] / "shared" / "agents" / "documents"
CABIN = (
    "What size battery does a small cabin need that uses 600 Wh a day, and how do I make it last?"
)
DARK = "What battery and panels does a 600 Wh cabin need to get through three days without sun?"
BROKEN = "Order A-1001 arrived broken, please refund it."
Tools = dict[str, Callable[..., Any]]


def schema(name: str, **properties: Any) -> dict[str, Any]:
    body = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    spec = {"name": name, "strict": True, "schema": body}
    return {"type": "json_schema", "json_schema": spec}


TEXT, NUMBER = {"type": "string"}, {"type": "number"}
PLAN = schema(
    "plan",
    plan={"type": "array", "items": TEXT},
    complexity={"type": "string", "enum": ["simple", "complex"]},
)
RESEARCHED = schema("output", answer=TEXT, sources={"type": "array", "items": TEXT})
RESOLVED = schema("output", resolution=TEXT, order_id=TEXT, refunded_usd=NUMBER)


def search_documents(query: str, limit: int = 3) -> Any:
    words = query.lower().split()
    texts = {path.stem: path.read_text() for path in sorted(DOCUMENTS.glob("*.md"))}
    ranked = sorted(texts, key=lambda name: -sum(map(texts[name].lower().count, words)))
    found = [{"id": name, "title": texts[name].splitlines()[0][2:]} for name in ranked[:limit]]
    return {"results": found}


def read_document(document_id: str) -> Any:
    text = (DOCUMENTS / f"{document_id}.md").read_text()
    return {"id": document_id, "title": text.splitlines()[0][2:], "text": text}


def lookup_order(order_id: str) -> Any:
    return {"order_id": order_id, "item": "lamp", "total_usd": 42.5}


def refund(order_id: str, amount_usd: float) -> Any:
    return f"Refunded {amount_usd:.2f} USD for {order_id}."


def reject(order_id: str, amount_usd: float) -> Any:
    return f"Rejected by a person: {order_id}, {amount_usd}."


RESEARCH: Tools = {"search_documents": search_documents, "read_document": read_document}
SUPPORT: Tools = {"lookup_order": lookup_order, "refund": refund}


class Loop:
    """Ratchet's plan_act policy in miniature."""

    def __init__(self, client: OpenAI, goal: str, tools: Tools) -> None:
        self.client = client
        self.tools = tools
        self.called: list[tuple[str, ...]] = []
        self.messages: list[Any] = [
            {"role": "system", "content": "You are an agent."},
            {"role": "user", "content": goal},
        ]

    def step(self, kind: str, model: str, **options: Any) -> Any:
        self.mark(kind)
        return self.ask(model, **options)

    def mark(self, kind: str) -> None:
        self.messages.append({"role": "user", "content": f"[ratchet:{kind}] Go on."})

    def ask(self, model: str, **options: Any) -> Any:
        reply: Any = self.client.chat.completions.create(
            model=model, messages=self.messages, **options
        )
        message = reply.choices[0].message
        self.messages.append(message.model_dump(include={"role", "content", "tool_calls"}))
        if not message.tool_calls:
            self.messages[-1].pop("tool_calls")
        return message

    def act(self, model: str) -> bool:
        """One tool_dispatch step; False when the model asks for no tool any more."""
        properties: dict[str, Any] = {"query": TEXT, "document_id": TEXT, "order_id": TEXT}
        parameters = {"type": "object", "properties": properties}
        specs = [
            {"type": "function", "function": {"name": name, "parameters": parameters}}
            for name in self.tools
        ]
        message = self.ask(model, **({"tools": specs} if specs else {}))
        for call in message.tool_calls or ():
            result = self.tools[call.function.name](**json.loads(call.function.arguments))
            content = result if isinstance(result, str) else json.dumps(result)
            answer = {"role": "tool", "tool_call_id": call.id, "content": content}
            self.messages.append(answer)
        if message.tool_calls:
            self.called.append(tuple(call.function.name for call in message.tool_calls))
        return bool(message.tool_calls)

    def run(self, output: Any, *, reason_after: int = 99) -> tuple[str, Any]:
        """The rated complexity and the final answer."""
        plan = json.loads(self.step("planning", "o3-mini", response_format=PLAN).content)
        complexity = plan["complexity"]
        cheap = complexity == "simple"
        self.mark("act")
        while self.act("gpt-4o-mini" if cheap else "gpt-4o"):
            if len(self.called) == reason_after:
                self.step("reasoning", "gpt-4o-mini" if cheap else "gpt-4o")
            assert len(self.called) < 10
        options = {} if output is None else {"response_format": output}
        final = self.step("final", "gpt-4o" if cheap else "o3", **options).content
        return complexity, final if output is None else json.loads(final)


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    with (
        ModelServer.start() as server,
        OpenAI(base_url=server.base_url, api_key="any", max_retries=0) as opened,
    ):
        yield opened


@pytest.mark.parametrize("reason_after", [2, 99])
def test_research_reads_reasons_and_cites_what_it_read(client: OpenAI, reason_after: int) -> None:
    loop = Loop(client, CABIN, RESEARCH)
    complexity, output = loop.run(RESEARCHED, reason_after=reason_after)
    assert complexity == "simple"
    assert loop.called == [
        ("search_documents", "search_documents"),
        ("read_document", "read_document"),
        ("read_document",),
    ]
    assert output["sources"] == ["sizing-a-system", "battery-basics", "maintenance"]
    for source in output["sources"]:
        assert f"[{source}]" in output["answer"]


def test_the_numbers_of_the_answer_stand_in_the_documents(client: OpenAI) -> None:
    text = read_document("sizing-a-system")["text"]
    for goal, figures in (
        (CABIN, ["1,667 Wh", "130 Ah", "2,667 Wh", "222 Ah", "1,333 Wh"]),
        (DARK, ["2,500 Wh", "195 Ah", "4,000 Wh", "333 Ah", "2,000 Wh", "222 W", "400 W"]),
    ):
        answer = Loop(client, goal, RESEARCH).run(RESEARCHED)[1]["answer"]
        for figure in figures:
            assert figure in answer
            assert figure in text


def test_three_days_without_sun_take_the_complex_routes(client: OpenAI) -> None:
    complexity, output = Loop(client, DARK, RESEARCH).run(RESEARCHED, reason_after=2)
    assert complexity == "complex"
    assert "panel-orientation" in output["sources"]


def test_research_answers_in_words_when_no_type_is_asked(client: OpenAI) -> None:
    assert "[maintenance]" in Loop(client, CABIN, RESEARCH).run(None)[1]


def test_support_looks_up_refunds_and_reports(client: OpenAI) -> None:
    loop = Loop(client, BROKEN, SUPPORT)
    _, output = loop.run(RESOLVED, reason_after=1)
    assert loop.called == [("lookup_order",), ("refund",)]
    assert (output["order_id"], output["refunded_usd"]) == ("A-1001", 42.5)


def test_support_claims_no_refund_that_was_rejected(client: OpenAI) -> None:
    _, output = Loop(client, BROKEN, {**SUPPORT, "refund": reject}).run(RESOLVED)
    assert output["refunded_usd"] == 0
    assert "not refunded" in output["resolution"]


def test_support_refunds_nothing_when_the_order_is_unknown(client: OpenAI) -> None:
    loop = Loop(client, BROKEN, {**SUPPORT, "lookup_order": lambda order_id: f"No {order_id}."})
    _, output = loop.run(RESOLVED)
    assert loop.called == [("lookup_order",)]
    assert output["refunded_usd"] == 0


def test_any_goal_searches_reads_and_quotes(client: OpenAI) -> None:
    loop = Loop(client, "Which inverter waveform suits a home?", RESEARCH)
    _, output = loop.run(RESEARCHED, reason_after=1)
    assert loop.called == [("search_documents",), ("read_document",)]
    assert "scripted model" in output["answer"]
    assert "inverter" in output["answer"]


def test_any_goal_with_an_order_in_it_is_looked_up_but_never_refunded(client: OpenAI) -> None:
    loop = Loop(client, "Where is A-1001?", SUPPORT)
    loop.run(None)
    assert loop.called == [("lookup_order",)]


def test_any_agent_without_tools_answers(client: OpenAI) -> None:
    complexity, output = Loop(client, "Say hello.", {}).run(None)
    assert complexity == "simple"
    assert "scripted model" in output


def test_a_plain_loop_without_markers_comes_to_an_answer(client: OpenAI) -> None:
    for goal, tools in ((BROKEN, SUPPORT), ("Which inverter?", RESEARCH)):
        loop = Loop(client, goal, tools)
        while loop.act("gpt-4o"):
            assert len(loop.called) < 5
        assert loop.messages[-1]["content"]


@pytest.mark.parametrize("path", sorted(DOCUMENTS.glob("*.md")), ids=lambda path: path.stem)
def test_documents_are_short_and_titled(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# ")
    assert 250 <= len(text.split()) <= 500
