"""Ratchet: durable, cheap AI agents in your own AWS account.

`from ratchet import Agent, Answer, Confidence, Limits, Memory, SemanticCache, ToolContext, tool` is all that an agent
author needs.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ratchet.domain.agent import Agent, Limits
    from ratchet.domain.confidence import Answer, Confidence
    from ratchet.domain.memory_tools import Memory
    from ratchet.domain.semantic_cache import SemanticCache
    from ratchet.domain.tools import ToolContext, tool

__all__ = [
    "Agent",
    "Answer",
    "Confidence",
    "Limits",
    "Memory",
    "SemanticCache",
    "ToolContext",
    "tool",
]

_HOMES = {
    "Agent": "ratchet.domain.agent",
    "Answer": "ratchet.domain.confidence",
    "Confidence": "ratchet.domain.confidence",
    "Limits": "ratchet.domain.agent",
    "Memory": "ratchet.domain.memory_tools",
    "SemanticCache": "ratchet.domain.semantic_cache",
    "ToolContext": "ratchet.domain.tools",
    "tool": "ratchet.domain.tools",
}


def __getattr__(name: str) -> Any:
    # Lazy: every function imports this package, only step_executor defines agents (pydantic costs 240 ms of CPU).
    if name not in _HOMES:
        raise AttributeError(f"module 'ratchet' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_HOMES[name]), name)
