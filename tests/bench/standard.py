"""PERF.md's standard agent, as an agent that really runs: its prompt, its six tools, and a model that follows a script.

Texts come from the contract tests' `Prose`, which deflates as plain English does.
"""

import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any

from ratchet import Agent, Limits, tool
from ratchet.domain.messages import ToolCall
from ratchet.domain.models import Usage
from ratchet.model_ports import ModelAnswer, ModelCall
from tests.contract.store.standard_agent import Prose

GOAL = Prose(1).text(300)
FINAL = Prose(2).text(1_000)
INSTRUCTIONS = Prose(3).text(2_000)
PLAN = '{"plan": ["search", "read what was found", "answer"], "complexity": "simple"}'
MAX_CYCLES = 200
_LIMITS = Limits(max_steps=1_000, max_cost_usd=100, max_tokens=10**9)


@functools.cache
def cycles_of_text() -> tuple[tuple[str, str, str], ...]:
    """What the model says (400 characters), what it searches for, and what comes back (1,200), cycle by cycle."""
    prose = Prose(4)
    return tuple(
        (prose.text(400), f"{number}: {prose.text(36)}", prose.text(1_200))
        for number in range(MAX_CYCLES)
    )


@functools.cache
def _results() -> dict[str, str]:
    return {query: result for _, query, result in cycles_of_text()}


@tool(effect="read")
def search(query: str) -> str:
    """Search the knowledge base; returns the passages that answer the query best."""
    return _results()[query]


@tool(effect="read")
def read_document(document_id: str, page: int = 1) -> str:
    """Read one page of a document by its id."""
    return document_id


@tool(effect="read")
def list_documents(folder: str, limit: int = 20) -> str:
    """List the documents of a folder, newest first."""
    return folder


@tool(effect="idempotent")
def save_note(title: str, text: str) -> str:
    """Keep a note for later steps of the same task."""
    return title


@tool(effect="read")
def calculate(expression: str) -> str:
    """Evaluate an arithmetic expression exactly."""
    return expression


@tool(effect="unsafe")
def send_message(recipient: str, subject: str, body: str) -> str:
    """Send a message to a person of the team."""
    return recipient


TOOLS: tuple[Callable[..., Any], ...] = (
    search,
    read_document,
    list_documents,
    save_note,
    calculate,
    send_message,
)


@functools.cache
def standard_agent(policy: str = "react") -> Agent:
    """`react` makes one step of each cycle, as PERF.md counts; `plan_act` adds planning and final steps."""
    return Agent("standard", INSTRUCTIONS, TOOLS, limits=_LIMITS, policy=policy)


def script(cycles: int) -> Callable[[ModelCall], ModelAnswer]:
    """So many cycles of a text and a tool call, then the final answer. Depends on the prompt alone."""

    def decide(call: ModelCall) -> ModelAnswer:
        prompt = call.prompt
        done = sum(message.role == "tool" for message in prompt.messages)
        usage = Usage(1_000 + 520 * done, 900 + 500 * done, 130)
        if prompt.response_format is not None and prompt.response_format.name == "plan":
            return ModelAnswer(PLAN, (), "stop", usage)
        if done < cycles and prompt.tool_choice == "auto":
            text, query, _ = cycles_of_text()[done]
            return ModelAnswer(text, (tool_call(done, query),), "tool_calls", usage)
        return ModelAnswer(FINAL, (), "stop", usage)

    return decide


def tool_call(number: int, query: str) -> ToolCall:
    """The call of one cycle, with an id as OpenAI makes them."""
    unlike_others = hashlib.sha256(str(number).encode()).hexdigest()[:24]
    return ToolCall(f"call_{unlike_others}", "search", json.dumps({"query": query}))


def chat_messages(cycles: int) -> list[list[dict[str, Any]]]:
    """The conversation as the naive ways store it: what precedes the first step, then what each cycle adds."""
    start: list[dict[str, Any]] = [
        {"role": "system", "content": INSTRUCTIONS},
        {"role": "user", "content": GOAL},
    ]
    added = [start]
    for number, (text, query, result) in enumerate(cycles_of_text()[:cycles]):
        call = tool_call(number, query)
        added.append(
            [
                {"role": "assistant", "content": text, "tool_calls": [_wire(call)]},
                {"role": "tool", "tool_call_id": call.id, "content": result},
            ]
        )
    return [*added, [{"role": "assistant", "content": FINAL}]]


def _wire(call: ToolCall) -> dict[str, Any]:
    function: dict[str, str] = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}
