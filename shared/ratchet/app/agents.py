"""Finding the team's agents: their code in step_executor, a manifest of them in the other functions."""

import importlib
import json
import pkgutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratchet.contracts.errors import AgentMissing
from ratchet.contracts.names import Complexity, StepType
from ratchet.contracts.request_errors import UnknownAgent
from ratchet.domain.steps import Step
from ratchet.domain.task import TaskLimits

if TYPE_CHECKING:
    from ratchet.domain.agent import Agent


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """What a function without the agents' code knows of one."""

    name: str
    version: str
    description: str
    policy: str
    tools: tuple[str, ...]
    first_step: Step
    limits: TaskLimits
    untrusted: frozenset[str] = frozenset()  # tools whose results strangers wrote


class AgentDirectory:
    """The agents of a deployment by name, from the manifest."""

    def __init__(self, manifest: list[dict[str, Any]], *, default: str) -> None:
        self._agents = {entry["name"]: _info(entry) for entry in manifest}
        self.default = default if default in self._agents else next(iter(self._agents), default)

    @classmethod
    def load(cls, path: Path, *, default: str) -> "AgentDirectory":
        """Read the manifest that bundling wrote."""
        return cls(json.loads(path.read_text(encoding="utf-8")), default=default)

    def all(self) -> list[AgentInfo]:
        """Every agent, by name."""
        return [self._agents[name] for name in sorted(self._agents)]

    def find(self, name: str | None) -> AgentInfo:
        """The agent of that name, or the default one.

        Raises:
            UnknownAgent: none of that name is deployed.
        """
        wanted = name or self.default
        if wanted not in self._agents:
            known = ", ".join(sorted(self._agents)) or "none"
            raise UnknownAgent(f"no agent {wanted!r} is deployed; choose one of: {known}")
        return self._agents[wanted]


class AgentRegistry:
    """The agents themselves."""

    def __init__(self, agents: Mapping[str, "Agent"]) -> None:
        self._agents = dict(agents)

    @classmethod
    def load(cls, package: str = "agents") -> "AgentRegistry":
        """Import every module of the package and collect the agents that they define.

        Raises:
            ValueError: two agents have the same name.
        """
        from ratchet.domain.agent import Agent  # noqa: PLC0415 - pydantic, only where agents run

        found: dict[str, Agent] = {}
        root = importlib.import_module(package)
        for module in pkgutil.iter_modules(root.__path__, f"{package}."):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, Agent) and found.setdefault(value.name, value) is not value:
                    raise ValueError(f"two agents are named {value.name!r}; rename one")
        return cls(found)

    def get(self, name: str) -> "Agent":
        """The agent of that name.

        Raises:
            AgentMissing: the deployed bundle has none.
        """
        if name not in self._agents:
            raise AgentMissing(
                f"agent {name!r} is not in the deployed bundle; deploy it again, or resubmit to another agent"
            )
        return self._agents[name]

    def version_of(self, name: str) -> str | None:
        """The version of the agent of that name; None if there is none."""
        agent = self._agents.get(name)
        return None if agent is None else agent.version

    def manifest(self) -> list[dict[str, Any]]:
        """What the other functions need to know of the agents, as JSON."""
        entries = []
        for name, agent in sorted(self._agents.items()):
            first = agent.decides.next_step((), agent.traits)
            if not isinstance(first, Step):
                raise TypeError(f"agent {name!r}: its policy has no first step")
            cache = agent.semantic_cache
            entries.append(
                {
                    "name": name,
                    "version": agent.version,
                    "description": agent.description,
                    "policy": agent.policy,
                    "tools": list(agent.toolbox),
                    "first_step": [first.type.value, first.complexity.value],
                    "limits": asdict(agent.limits),
                    "embedding_model": None if cache is None else cache.model,
                    "untrusted": [t.name for t in agent.toolbox.values() if t.untrusted],
                }
            )
        return entries


def build_manifest(package: str = "agents") -> list[dict[str, Any]]:
    """The manifest of a folder of agents; bundling writes it beside the api's code."""
    return AgentRegistry.load(package).manifest()


def _info(entry: dict[str, Any]) -> AgentInfo:
    type_, complexity = entry["first_step"]
    return AgentInfo(
        name=entry["name"],
        version=entry["version"],
        description=entry["description"],
        policy=entry["policy"],
        tools=tuple(entry["tools"]),
        first_step=Step(StepType(type_), Complexity(complexity)),
        limits=TaskLimits(**entry["limits"]),
        untrusted=frozenset(entry.get("untrusted", ())),
    )
