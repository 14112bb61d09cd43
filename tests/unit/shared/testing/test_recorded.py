"""Answers are recorded once, from any OpenAI-compatible server, and played from then on."""

import json
from pathlib import Path
from typing import Any

import pytest

from ratchet import Agent, tool
from ratchet.adapters.openai_chat import OpenAiChat
from ratchet.contracts.errors import ModelThrottled
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import ScriptedChat, says
from ratchet.testing.clock import FakeClock
from ratchet.testing.crash_kit import crash_every_step
from ratchet.testing.harness import AgentHarness
from ratchet.testing.model_server import ModelServer
from ratchet.testing.prompt_digest import UnknownPrompt
from ratchet.testing.recorded import RecordedChat
from tests.unit.shared.testing.shop import GOAL, Shop

BROKEN = "Order A-1001 arrived broken, please refund it."


def support() -> Agent:
    @tool(effect="read")
    def lookup_order(order_id: str) -> dict[str, Any]:
        """Look up an order by its id."""
        return {"order_id": order_id, "item": "lamp", "total_usd": 42.5, "status": "delivered"}

    @tool(effect="unsafe")
    def refund(order_id: str, amount_usd: float) -> dict[str, Any]:
        """Pay an amount back."""
        return {"refunded": True, "order_id": order_id, "amount_usd": amount_usd}

    return Agent(name="support", instructions="Resolve.", tools=[lookup_order, refund])


def test_answers_of_a_server_are_recorded_and_survive_every_crash_without_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "answers" / "support.json"
    with ModelServer.start() as server:
        chat = OpenAiChat(
            server.base_url, api_key=lambda *, fresh=False: "sk-secret", clock=FakeClock()
        )
        with chat:
            live = AgentHarness(support(), RecordedChat(file, record_from=chat)).run(BROKEN)
    assert [use.tool for use in live.tool_calls] == ["lookup_order", "refund"]
    played = AgentHarness(support(), RecordedChat(file)).run(BROKEN)
    assert (played.status, played.output, played.usage) == (live.status, live.output, live.usage)
    assert "sk-secret" not in file.read_text()
    report = crash_every_step(support(), BROKEN, model=RecordedChat(file))
    assert report.left_to_a_person == 8
    assert report.outcome.output == live.output


def test_an_unknown_prompt_fails_the_test_and_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnknownPrompt, match="record again"):
        AgentHarness(Shop().agent(), RecordedChat(tmp_path / "none.json")).run(GOAL)


def test_a_prompt_is_asked_for_once(tmp_path: Path) -> None:
    asked = ScriptedChat([says("first")])
    chat = RecordedChat(tmp_path / "a.json", record_from=asked)
    harness = AgentHarness(Agent(name="plain", instructions="x", policy="react"), chat)
    assert harness.run(GOAL).output == harness.run(GOAL).output == "first"
    assert len(asked.calls) == 1


def test_errors_are_passed_on_and_not_recorded(tmp_path: Path) -> None:
    class Throttled:
        def __init__(self) -> None:
            self.answers: list[ModelAnswer | ModelThrottled] = [ModelThrottled("slow"), says("ok")]

        def complete(self, call: ModelCall) -> ModelAnswer:
            answer = self.answers.pop(0)
            if isinstance(answer, ModelThrottled):
                raise answer
            return answer

    file = tmp_path / "a.json"
    chat = RecordedChat(file, record_from=Throttled())
    agent = Agent(name="plain", instructions="x", policy="react")
    assert AgentHarness(agent, chat).run(GOAL).output == "ok"
    assert len(json.loads(file.read_text())["answers"]) == 1


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"version": 99}')
    with pytest.raises(ValueError, match="version 99"):
        RecordedChat(file)
