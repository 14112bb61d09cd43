"""Planted bugs of memory: marks that nobody looks at, steps that are over, and neighbours who are called the same."""

from dataclasses import replace
from typing import Any

from ratchet.app.memories import Memories
from ratchet.app.task_memory import TaskMemory
from ratchet.testing.memories import InMemoryMemories
from tests.simulation.bugs import Bug, swap, wrap


def _without_owner(original: Any, used: Any, scope: Any) -> Any:
    place = original(used, scope)
    return replace(place, namespace=replace(place.namespace, owner="everybody"))


def _in_one_tenant(original: Any, used: Any, scope: Any) -> Any:
    return replace(original(used, scope), tenant="acme")


def _unmarked(original: Any, used: Any, change: Any, call: Any) -> Any:
    return original(used, change, None)


_ONE, _FOUR = ("remembered",), ("remembered-by-four",)
BUGS = (
    Bug("marks not looked at", (swap(InMemoryMemories, "_marks", lambda *_: {}),), (), _FOUR),
    Bug("memory changed without a mark", (wrap(Memories, "_change", _unmarked),), (), _ONE),
    Bug(
        "memory changed after the step",
        (swap(InMemoryMemories, "_is_open", lambda *_: True),),
        (),
        ("remembered-cancelled",),
    ),
    Bug("users share a memory", (wrap(TaskMemory, "_place", _without_owner),), (), _FOUR),
    Bug("tenants share a memory", (wrap(TaskMemory, "_place", _in_one_tenant),), (), _FOUR),
)
