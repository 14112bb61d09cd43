"""Each prompt begins with the one before it, and the records say how much of it the provider should have known."""

import itertools
import json
import random
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given, seed
from hypothesis import strategies as st
from pydantic import BaseModel

from ratchet import Agent, tool
from ratchet.app.task_views import timeline_view
from ratchet.contracts.errors import ModelUnavailable
from ratchet.contracts.names import Purpose, StepType
from ratchet.domain import chat_request
from ratchet.domain.messages import ToolCall
from ratchet.domain.models import Usage, built_in
from ratchet.domain.steps import StepRecord, StepResult
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import asks, says
from ratchet.testing.model_usage import PrefixCache, prompt_text, token_count
from tests.figures import Tell
from tests.unit.shared.app.world import World
from tests.unit.shared.builders import a_history

MODELS = built_in()
SEED = 20261122
CALLS = 4  # of one step at most
SHORT, LONG = "go on. ", "All that was found out so far is written down here, word by word. " * 60


class Output(BaseModel):
    text: str


def request_body(call: ModelCall) -> dict[str, Any]:
    spec = MODELS.spec(call.model)
    return chat_request.request_body(call.prompt, spec, max_output_tokens=call.max_output_tokens)


@tool(effect="read")
def look(where: str) -> str:
    """Look somewhere."""
    return where


@dataclass
class Provider:
    """Answers at random, as one model of the given agent might; its prompt cache is that of the scripted server."""

    dice: random.Random
    calls: list[ModelCall] = field(default_factory=list)
    cache: PrefixCache = field(default_factory=PrefixCache)

    def __call__(self, call: ModelCall) -> ModelAnswer:
        self.calls.append(call)
        text = prompt_text(request_body(call))
        cached = self.cache.cached_tokens(text, model=call.model, cache_key=call.prompt.cache_key)
        answer = self._answer(call)
        return replace(answer, usage=Usage(token_count(text), cached, 20))

    def _answer(self, call: ModelCall) -> ModelAnswer:
        form = call.prompt.response_format
        if self.dice.random() < 0.15:
            return says("")  # unusable: it is asked again
        if form is not None and form.name == "plan":
            level = self.dice.choice(["simple", "complex"])
            return says(json.dumps({"plan": [self._words()], "complexity": level}))
        if form is not None:
            return says(json.dumps({"text": self._words()}))
        if call.prompt.tool_choice == "none" or self.dice.random() < 0.2:
            return says(self._words() + ".")
        where = json.dumps({"where": self._words()}, ensure_ascii=False)
        return asks(*(ToolCall(f"c{n}", "look", where) for n in range(self.dice.randint(1, 2))))

    def _words(self) -> str:
        words = ["", "\\u65e5", "\\n", "'", LONG, SHORT]
        return "".join(self.dice.choice(words) for _ in range(self.dice.randint(1, 4)))


def request(call: ModelCall) -> bytes:
    """What of a request a prefix cache reads, in the order in which it does: tools, then messages."""
    body = request_body(call)
    parts = [json.dumps(body.get("tools")), *(json.dumps(m) for m in body["messages"])]
    return "\n".join(parts).encode()


def ran(dice: int, policy: str, *, output: bool) -> tuple[list[StepRecord], list[ModelCall]]:
    """A task of at most 20 steps: its records, and the call that each step began with."""
    provider = Provider(random.Random(dice))
    agent = Agent(
        "helper",
        "Help. " * 300,
        tools=[look],
        policy=policy,
        output=Output if output else None,
        compact_at_tokens=30_000,
    )
    world = World(agent, chat=provider)
    state = world.first(world.submitted(limits={"max_steps": 20, "max_cost_usd": 1.0}))
    first: list[ModelCall] = []
    while state.action == "step":
        made = len(provider.calls)
        before, state = state, world.step(state)
        first += provider.calls[made : made + 1]
    return [r for r in world.steps(before.task) if r.result.model], first


def test_the_prompt_of_a_step_begins_byte_for_byte_with_that_of_the_step_before(
    tell: Tell,
) -> None:
    seen: Counter[str] = Counter()

    @seed(SEED)
    @given(st.integers(0, 2**32 - 1), st.sampled_from(["plan_act", "react"]), st.booleans())
    def check(dice: int, policy: str, output: bool) -> None:
        records, calls = ran(dice, policy, output=output)
        assert len(records) == len(calls)
        seen["tasks"] += 1
        steps = [(r.result.purpose, c) for r, c in zip(records, calls, strict=True)]
        for (earlier, before), (later, after) in itertools.pairwise(steps):
            if Purpose.COMPACTION in (earlier, later):
                seen["steps around a compaction"] += 1
                continue
            same = before.model == after.model
            seen["steps on the same model" if same else "steps on another model"] += 1
            assert request(after).startswith(request(before))

    check()
    told = ", ".join(f"{count} {what}" for what, count in seen.items())
    tell(f"prompt prefixes, seed {SEED}: {told}")
    assert seen["steps on the same model"] > 100
    assert seen["steps on another model"] > 20


def test_what_is_expected_of_the_cache_is_what_a_cache_serves(
    tell: Tell,
) -> None:
    # The two count the last granule apart by one where a prompt ends just before its end.
    served = expected = steps = 0

    @seed(SEED)
    @given(st.integers(0, 2**32 - 1), st.sampled_from(["plan_act", "react"]), st.booleans())
    def check(dice: int, policy: str, output: bool) -> None:
        nonlocal served, expected, steps
        for record in ran(dice, policy, output=output)[0]:
            result = record.result
            assert result.usage.cached_tokens >= result.expected_cached_tokens - 128 * CALLS
            served += result.usage.cached_tokens
            expected += result.expected_cached_tokens
            steps += 1

    check()
    tell(
        f"prompt cache, seed {SEED}: {steps} steps, {expected:,} cached tokens expected, {served:,} served"
    )
    assert 0.9 * served < expected <= served * 1.001


def test_the_timeline_shows_what_was_expected_beside_what_was_served() -> None:
    records, _ = ran(7, "plan_act", output=False)
    results = [record.result for record in records]
    assert max(result.expected_cached_tokens for result in results) > 1_024
    shown = timeline_view(a_history(*results)).steps
    assert [step.expected_cached_tokens for step in shown] == [
        result.expected_cached_tokens for result in results
    ]


# A table whose final answer is cheap, and whose acting steps warm the prompt of the better model.
STICKY = {
    "default": ["gpt-5"],
    "rules": [{"step": "final_synthesis", "complexity": "simple", "models": ["gpt-5-mini"]}],
}
READER = Agent("reader", "Help. " * 20_000, tools=[look], policy="plan_act")


def reads_and_answers(cached: bool = True) -> Provider:
    provider = Provider(random.Random(1))
    served = provider.cache.cached_tokens
    if not cached:
        provider.cache.cached_tokens = lambda *a, **k: 0 * served(*a, **k)  # type: ignore[method-assign]

    def answer(call: ModelCall) -> ModelAnswer:
        form = call.prompt.response_format
        if form is not None:
            return says(json.dumps({"plan": ["look"], "complexity": "simple"}))
        acted = any(m.role == "tool" for m in call.prompt.messages)
        is_last = call.prompt.tool_choice == "none" or acted
        return says("Done.") if is_last else asks(ToolCall("c", "look", '{"where": "here"}'))

    provider._answer = answer  # type: ignore[method-assign]
    return provider


def last_step(table: dict[str, object], provider: Provider) -> StepResult:
    world = World(READER, chat=provider)
    world.override.write(json.dumps(table))
    ref = world.submitted()
    world.run(ref)
    return world.steps(ref)[-1].result


def test_a_step_stays_with_the_better_model_that_has_read_its_prompt_and_says_why() -> None:
    result = last_step(STICKY, reads_and_answers())
    assert (result.type, result.model) == (StepType.FINAL_SYNTHESIS, "gpt-5")
    assert re.fullmatch(
        r"stays: 30\d+ warm tokens make \$0\.00\d+, gpt-5-mini \$0\.00\d+", result.reason
    )
    assert result.usage.cached_tokens >= result.expected_cached_tokens > 29_000


def test_switched_off_it_follows_its_route() -> None:
    result = last_step({**STICKY, "sticky_prefix": False}, reads_and_answers())
    assert (result.model, result.reason) == ("gpt-5-mini", "preferred")


def test_it_follows_its_route_when_the_cache_has_not_kept_its_promise() -> None:
    result = last_step(STICKY, reads_and_answers(cached=False))
    assert (result.model, result.reason) == ("gpt-5-mini", "preferred")


def test_a_model_that_takes_over_from_the_one_stayed_with_is_a_failover() -> None:
    provider = reads_and_answers()

    def fails(call: ModelCall) -> ModelAnswer:
        is_last = call.prompt.tool_choice == "none" and call.prompt.response_format is None
        if is_last and call.model == "gpt-5":
            raise ModelUnavailable("down")
        return provider(call)

    world = World(READER, chat=fails)
    world.override.write(json.dumps(STICKY))
    ref = world.submitted()
    world.run(ref)
    result = world.steps(ref)[-1].result
    assert (result.model, result.reason) == ("gpt-5-mini", "failover from gpt-5")
