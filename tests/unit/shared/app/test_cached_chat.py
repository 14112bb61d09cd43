"""Cached answers beside what else decides on a call: providers' quotas, prompt caches, the agent's check."""

import itertools
from collections import Counter
from dataclasses import replace

import pytest

from ratchet import Agent, Answer, Confidence
from ratchet.contracts.errors import ModelUnavailable
from ratchet.contracts.messages import TaskRef
from ratchet.domain.deployments import Deployment
from ratchet.domain.messages import ToolCall
from ratchet.domain.models import Usage
from ratchet.domain.quota import Quota
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import Outcome, ScriptedChat, asks, says
from tests.unit.shared.app.test_provider_chat import Site
from tests.unit.shared.app.test_response_cache import agent_with, research, run
from tests.unit.shared.app.world import World

LONG = Usage(input_tokens=4_000)


class Providers(Site):
    """Providers that play the research task."""

    def _client(self, name: str) -> ScriptedChat:
        def decide(call: ModelCall) -> Outcome:
            self.asked.append(name)
            return research(call)

        return ScriptedChat(decide)


def test_a_hit_takes_no_place_in_a_providers_quota() -> None:
    models = ("o3-mini", "gpt-4o-mini", "gpt-4o")
    site = Providers(tuple(Deployment(f"eu-{m}", m, quota=Quota(600, None)) for m in models))
    world = World(agent_with())
    world.chat = site.box  # type: ignore[assignment]
    assert world.steps(run(world))[0].result.reason == "preferred; by eu-o3-mini"
    asked, places = list(site.asked), Counter(site.state.requests)
    assert len(asked) == 4
    assert places
    again = world.steps(run(world))
    assert [record.result.reason for record in again] == ["preferred; cached answer"] * 4
    assert (site.asked, site.state.requests) == (asked, places)


def test_an_answer_that_no_model_gave_leaves_the_prompt_caches_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def decide(call: ModelCall) -> ModelAnswer:
        said = sum(m.role == "assistant" for m in call.prompt.messages)
        if said == 3:
            return says("Done.", usage=LONG)
        return asks(ToolCall(f"c{said}", "look", f'{{"where":"{said}"}}'), usage=LONG)

    world = World(replace(agent_with(), policy="react"), chat=decide)
    run(world)
    get, count = world.memo.get, itertools.count(1)
    # Of the second task only the second step finds its answer.
    monkeypatch.setattr(world.memo, "get", lambda *key: get(*key) if next(count) == 2 else None)
    steps = [record.result for record in world.steps(run(world))]
    assert [step.is_cached for step in steps] == [False, True, False, False]
    # The third finds what the first had its model read; nothing was expected of a cache by the second.
    assert [step.expected_cached_tokens for step in steps] == [0, 0, 3_968, 3_968]


@pytest.mark.parametrize("again", [says(""), ModelUnavailable("503")])
def test_a_cached_answer_that_stands_because_nothing_better_came_is_still_marked(
    again: Outcome,
) -> None:
    def unsure(answer: Answer) -> Confidence:
        return Confidence.LOW

    agent = Agent("careful", "Help.", policy="react", check=unsure, cache_ttl_seconds=100)

    def decide(call: ModelCall) -> Outcome:
        return says("A guess.") if call.model == "gpt-4o-mini" else again

    world = World(agent, chat=decide)
    assert [is_marked(world, run(world)) for _ in range(2)] == [False, True]


def is_marked(world: World, ref: TaskRef) -> bool:
    (step,) = world.steps(ref)
    assert "low confidence" in step.result.reason
    return step.result.is_cached
