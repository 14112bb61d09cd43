"""Long tasks against a model server over HTTP: what the server saw is what counts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from ratchet import Agent, tool
from ratchet.adapters.openai_chat import OpenAiChat
from ratchet.adapters.system import SystemClock
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import StepType
from ratchet.domain.compaction import DIRECTIVE
from ratchet.domain.steps import End
from ratchet.testing.model_server import Fault, FaultKind, ModelServer, RecordedRequest
from tests.unit.shared.app.world import World

Serve = Callable[[dict[str, object], Agent], tuple[World, ModelServer]]

PAGES = 8
PAGE = "The boiler was inspected and found sound. " * 150  # 6,300 characters
BOOK = "The boiler was inspected and found sound. " * 3_000  # more than a tool result may have


class Report(BaseModel):
    pages: int
    last: str


@tool(effect="read")
def read_page(number: int) -> dict[str, str]:
    """Read a page of the log book."""
    return {"id": f"page-{number}", "text": PAGE}


@tool(effect="read")
def read_book(number: int) -> str:
    """Read a whole log book."""
    return f"book-{number}: {BOOK}"


def calling(name: str, *numbers: int) -> list[dict[str, object]]:
    return [{"name": name, "arguments": {"number": number}} for number in numbers]


INSPECTOR = Agent(
    "inspector", "Read the log.", tools=[read_page], output=Report, compact_at_tokens=12_000
)
INSPECTION: dict[str, object] = {
    "name": "inspection",
    "match": {"goal": "boiler"},
    "turns": [
        {"step": "planning", "json": {"plan": ["Read"], "complexity": "simple"}},
        *({"step": "act", "tool_calls": calling("read_page", n)} for n in range(PAGES)),
        {"step": "act", "content": "All pages read."},
        {"step": "reasoning", "content": "Nothing new on this page."},
        {"step": "final", "json": {"pages": PAGES, "last": "{{last_tool_result.id}}"}},
    ],
}
LIBRARIAN = Agent("librarian", "Read the log.", tools=[read_book], policy="react")
LIBRARY: dict[str, object] = {
    "name": "library",
    "match": {"goal": "boiler"},
    "turns": [
        {"step": "unmarked", "tool_calls": calling("read_book", 0)},
        {"step": "unmarked", "tool_calls": calling("read_book", *range(1, 9))},
        {"step": "unmarked", "content": "It is sound."},
    ],
}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(scenario: dict[str, object], agent: Agent) -> tuple[World, ModelServer]:
            (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(scenario, sort_keys=False))
            server = stack.enter_context(ModelServer.start(tmp_path))
            world = World(agent)
            world.chat = stack.enter_context(  # type: ignore[assignment]
                OpenAiChat(server.base_url, api_key=lambda *, fresh=False: "k", clock=SystemClock())
            )
            return world, server

        yield start


def outcome(world: World, ref: TaskRef) -> End:
    end = world.tip(ref).next
    assert isinstance(end, End)
    return end


def prompt_tokens(request: RecordedRequest) -> int:
    assert request.usage is not None
    return request.usage.prompt_tokens


def summaries(requests: list[RecordedRequest]) -> list[int]:
    return [n for n, r in enumerate(requests) if r.messages[-1]["content"] == DIRECTIVE]


def test_a_long_task_is_summarized_once_and_its_later_prompts_are_smaller(serve: Serve) -> None:
    world, server = serve(INSPECTION, INSPECTOR)
    ref = world.submitted("Is the boiler sound?")
    world.run(ref)
    assert outcome(world, ref).output == {"pages": PAGES, "last": f"page-{PAGES - 1}"}
    requests = server.requests()
    tokens = [prompt_tokens(request) for request in requests]
    (at,) = summaries(requests)
    assert 8_000 < tokens[at] < 12_000
    assert tokens[at + 1] < tokens[at] / 5
    assert max(tokens[at + 1 :]) < tokens[at]
    read = [run.name for r in world.steps(ref) for run in r.result.tool_runs]
    assert read == ["read_page"] * PAGES


def test_a_summary_reads_its_prompt_from_the_providers_cache(serve: Serve) -> None:
    world, server = serve(INSPECTION, INSPECTOR)
    world.run(world.submitted("Is the boiler sound?"))
    requests = server.requests()
    (at,) = summaries(requests)
    usage = requests[at].usage
    assert usage is not None
    assert usage.cached_tokens > usage.prompt_tokens * 0.7


def test_a_prompt_that_the_server_refuses_as_too_long_is_summarized(serve: Serve) -> None:
    world, server = serve(INSPECTION, INSPECTOR)
    server.inject(Fault(kind=FaultKind.CONTEXT_LENGTH_EXCEEDED, step="act", index=3))
    ref = world.submitted("Is the boiler sound?")
    world.run(ref)
    assert outcome(world, ref).output == {"pages": PAGES, "last": f"page-{PAGES - 1}"}
    requests = server.requests()
    refused = next(n for n, request in enumerate(requests) if request.status == 400)
    assert summaries(requests) == [refused + 1]
    kinds = [r.result.type for r in world.steps(ref)]
    assert kinds.count(StepType.TOOL_DISPATCH) == PAGES + 2  # one of them made way


def test_results_longer_than_the_models_window_are_cut_for_the_summary(serve: Serve) -> None:
    world, server = serve(LIBRARY, LIBRARIAN)
    ref = world.submitted("Is the boiler sound?")
    world.run(ref)
    assert outcome(world, ref).output == "It is sound."
    requests = server.requests()
    whole, cut = summaries(requests)
    assert [requests[n].status for n in (whole, cut)] == [400, 200]  # 128,000 tokens is the window
    assert prompt_tokens(requests[cut]) < 76_800
    contents = [str(m["content"]) for m in requests[cut].messages if m["role"] == "tool"]
    lengths = [len(text) for text in contents]
    assert lengths == sorted(lengths)  # the oldest were cut
    assert lengths[0] < 600
    assert lengths[-1] > 100_000


def test_a_server_that_refuses_whatever_it_is_sent_ends_the_task(serve: Serve) -> None:
    world, server = serve(INSPECTION, INSPECTOR)
    ref = world.submitted("Is the boiler sound?")
    state = world.step(world.step(world.first(ref)))
    server.inject(Fault(kind=FaultKind.CONTEXT_LENGTH_EXCEEDED, times=100))
    asked = len(server.requests())
    world.continue_from(state)
    failure = outcome(world, ref).failure
    assert failure is not None
    assert failure.code == "context_overflow"
    assert "larger context window" in failure.message
    assert len(server.requests()) == asked + 3  # the step, the summary whole, the summary cut
