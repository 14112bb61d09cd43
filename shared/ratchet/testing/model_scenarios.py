"""The scenario files: their models, their loading, and the choice of a scenario and a turn."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ratchet.testing.model_conversation import COMPACTION, Conversation
from ratchet.testing.model_errors import ApiError, ScenarioError
from ratchet.testing.model_faults import Fault
from ratchet.testing.model_json import JsonObject

SHIPPED = Path(__file__).parent / "scenarios"
FALLBACK = "default.yaml"
StepName = Literal["planning", "act", "reasoning", "final", "unmarked", "compaction"]


class _Scripted(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Match(_Scripted):
    """Which requests a scenario is for; a field left out fits everything."""

    goal: re.Pattern[str] | None = None
    user: re.Pattern[str] | None = None
    system: re.Pattern[str] | None = None
    model: re.Pattern[str] | None = None
    tools: tuple[str, ...] = ()

    def groups(
        self, conversation: Conversation, *, model: str, offered: Mapping[str, object]
    ) -> dict[str, str] | None:
        """The named groups of the regexes, or None when the request is not for this scenario."""
        found: dict[str, str] = {}
        checks = (
            (self.goal, (conversation.goal,)),
            (self.user, conversation.users),
            (self.system, (conversation.system,)),
            (self.model, (model,)),
        )
        for pattern, texts in checks:
            if pattern is None:
                continue
            hit = next((hit for hit in map(pattern.search, texts) if hit), None)
            if hit is None:
                return None
            found |= _named(hit)
        # Steps that take no tools are not offered any: only a request with tools can lack one.
        return None if offered and not set(self.tools) <= set(offered) else found


class When(_Scripted):
    """The state of the conversation in which a turn applies; a field left out fits everything."""

    goal: re.Pattern[str] | None = None
    last_tool_result: re.Pattern[str] | None = None
    offers: tuple[str, ...] = ()
    offers_like: re.Pattern[str] | None = None
    called: tuple[str, ...] = ()
    not_called: tuple[str, ...] = ()
    called_nothing: bool = False

    def holds(self, conversation: Conversation, offered: Mapping[str, object]) -> bool:
        """Whether the turn applies now."""
        last = conversation.last_result
        result = (last.result or "") if last else ""
        return (
            (self.goal is None or self.goal.search(conversation.goal) is not None)
            and (self.last_tool_result is None or bool(self.last_tool_result.search(result)))
            and all(name in offered for name in self.offers)
            and (self.offers_like is None or any(map(self.offers_like.search, offered)))
            and all(conversation.called(name) for name in self.called)
            and not any(conversation.called(name) for name in self.not_called)
            and not (self.called_nothing and conversation.calls)
        )

    def groups(self, conversation: Conversation) -> dict[str, str]:
        """The named groups of the goal's regex."""
        hit = self.goal.search(conversation.goal) if self.goal else None
        return _named(hit) if hit else {}


class ScriptedCall(_Scripted):
    """A tool call; without arguments it makes the smallest ones that the tool accepts."""

    name: str | None = None
    name_like: re.Pattern[str] | None = None
    arguments: JsonObject | None = None

    @model_validator(mode="after")
    def _need_one_name(self) -> "ScriptedCall":
        if (self.name is None) == (self.name_like is None):
            raise ValueError("give either `name` or `name_like`")
        return self


class Turn(_Scripted):
    """What the model answers at one place of the conversation."""

    step: StepName | tuple[StepName, ...] | None = None
    turn: int | None = Field(default=None, ge=0)
    index: int | None = Field(default=None, ge=0)
    when: When | None = None
    content: str | None = None
    json_: JsonObject | None = Field(default=None, alias="json")
    tool_calls: tuple[ScriptedCall, ...] = ()
    refusal: str | None = None
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter"] | None = None
    latency_ms: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _need_an_answer(self) -> "Turn":
        if not self.tool_calls and (self.content, self.json_, self.refusal) == (None, None, None):
            raise ValueError("give at least one of content, json, tool_calls, refusal")
        return self

    @property
    def is_positional(self) -> bool:
        """Whether the turn's place in the list says when it applies."""
        addressed = self.turn is not None or self.index is not None or self.when is not None
        return not addressed and not isinstance(self.step, tuple)

    def is_for(self, conversation: Conversation) -> bool:
        """Whether the explicit address of this turn is where the conversation stands."""
        steps = self.step if isinstance(self.step, tuple) else (self.step,)
        return (
            (self.step is None or conversation.step in steps)
            and self.turn in {None, conversation.turn}
            and self.index in {None, conversation.index}
        )


SUMMARY = Turn(step=COMPACTION, content="(scripted model) {{notes}}")


class Scenario(_Scripted):
    """A scripted conversation."""

    name: str
    match: Match = Match()
    turns: tuple[Turn, ...] = Field(min_length=1)
    faults: tuple[Fault, ...] = ()

    def named_faults(self) -> list[tuple[str, Fault]]:
        """The faults with a name each, to be counted under."""
        return [(f"{self.name} {number}", fault) for number, fault in enumerate(self.faults)]

    def turn_for(self, conversation: Conversation, offered: Mapping[str, object]) -> Turn | None:
        """The first turn that applies; past the end, the last one of its kind again."""
        places: Counter[StepName | tuple[StepName, ...] | None] = Counter()
        last: Turn | None = None
        for turn in self.turns:
            if not turn.is_for(conversation):
                continue
            if not turn.is_positional:
                if turn.when is None or turn.when.holds(conversation, offered):
                    return turn
                continue
            here = conversation.turn if turn.step is None else conversation.index
            if places[turn.step] == here:
                return turn
            places[turn.step] += 1
            last = turn
        return last


class ScenarioBook:
    """The loaded scenarios, in the order in which they are tried."""

    def __init__(self, scenarios: tuple[Scenario, ...]) -> None:
        self.scenarios = scenarios

    @classmethod
    def load(cls, folder: Path | None = None) -> "ScenarioBook":
        """Read `*.yaml` by file name, `default.yaml` last; the shipped default is always there.

        Raises:
            ScenarioError: when a file is missing, unreadable or wrong.
        """
        source = folder or SHIPPED
        if not source.is_dir():
            raise ScenarioError(f"{source}: no such folder of scenarios")
        files = sorted(source.glob("*.yaml"), key=lambda path: (path.name == FALLBACK, path.name))
        if not any(path.name == FALLBACK for path in files):
            files.append(SHIPPED / FALLBACK)
        return cls(tuple(scenario for path in files for scenario in _read(path)))

    def choose(
        self, conversation: Conversation, *, model: str, offered: Mapping[str, object]
    ) -> tuple[Scenario, Turn, dict[str, str]]:
        """The first scenario that is for this request and has a turn for it.

        Raises:
            ApiError: 500 `no_scripted_turn`, when a custom default has no turn for everything.
        """
        for scenario in self.scenarios:
            groups = scenario.match.groups(conversation, model=model, offered=offered)
            if groups is None:
                continue
            turn = scenario.turn_for(conversation, offered)
            if conversation.step == COMPACTION and (turn is None or turn.step != COMPACTION):
                turn = SUMMARY  # a turn for any step is not meant for this one
            if turn is not None:
                here = turn.when.groups(conversation) if turn.when else {}
                return scenario, turn, groups | here
        message = f"No scripted turn for step {conversation.step}, turn {conversation.turn}."
        raise ApiError(500, message, kind="server_error", code="no_scripted_turn")


def _named(hit: re.Match[str]) -> dict[str, str]:
    return {name: text for name, text in hit.groupdict().items() if text is not None}


def _read(path: Path) -> Iterator[Scenario]:
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as exc:
        raise ScenarioError(f"{path}: {exc}") from exc
    entries = document if isinstance(document, list) else [document]
    for number, entry in enumerate(entries):
        label = entry.get("name", number) if isinstance(entry, dict) else number
        try:
            yield Scenario.model_validate(entry)
        except ValidationError as exc:
            problems = "; ".join(
                f"{'.'.join(map(str, error['loc'])) or 'scenario'}: {error['msg']}"
                for error in exc.errors(include_url=False)
            )
            raise ScenarioError(f"{path}: scenario {label!r}: {problems}") from exc
