"""A routing table as a task keeps it: what a submission pinned, in place of the routes of the state machine.

No pydantic: every function reads tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ratchet.contracts.messages import Route
from ratchet.contracts.names import Complexity, Json, StepType

MARK = ", override"
"""After a route's name, in the record of every step that it served."""

_STICKY = "sticky_prefix"


@dataclass(frozen=True, slots=True)
class PinnedRoutes:
    """The models of every step type: first those of simple steps, then those of complex ones."""

    models: Mapping[StepType, tuple[tuple[str, ...], tuple[str, ...]]]
    sticky: bool = True

    def route(self, step: StepType, complexity: Complexity) -> Route:
        """The route of a pair, with what it escalates to, and what is cheaper."""
        simple, complex_ = self.models[step]
        models = complex_ if complexity is Complexity.COMPLEX else simple
        name = f"{step.value} {complexity.value}{MARK}"
        escalation, cheaper = (other if other != models else () for other in (complex_, simple))
        return Route(name, models, escalation, cheaper, self.sticky)

    def routes(self) -> tuple[Route, ...]:
        """Every route."""
        return tuple(self.route(step, level) for step in self.models for level in Complexity)

    def to_json(self) -> dict[str, Json]:
        """The inverse of `from_json`; models that do not depend on the complexity are named once."""
        levels: dict[str, Json] = {
            step.value: [list(simple)] if simple == complex_ else [list(simple), list(complex_)]
            for step, (simple, complex_) in self.models.items()
        }
        return levels if self.sticky else {**levels, _STICKY: False}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """As a task stored them."""
        levels = {
            StepType(step): (tuple(levels[0]), tuple(levels[-1]))
            for step, levels in data.items()
            if step != _STICKY
        }
        return cls(levels, bool(data.get(_STICKY, True)))
