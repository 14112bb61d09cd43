"""The routing table: (step type, complexity) -> models. Read by the CDK app, which builds the state machine from it."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ratchet.contracts.messages import Route
from ratchet.contracts.names import Complexity, StepType
from ratchet.contracts.pinned_routes import PinnedRoutes

Models = Annotated[tuple[str, ...], Field(min_length=1)]


class Rule(BaseModel):
    """One line of routing.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: StepType
    complexity: Complexity | Literal["any"] = "any"
    models: Models


class RoutingTable(BaseModel):
    """Rules in order; pairs that no rule names fall to `default`.

    With `sticky_prefix` a step may stay with a model of its complex route (ratchet/domain/sticky_route.py).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    default: Models = ("gpt-4o",)
    rules: tuple[Rule, ...] = ()
    sticky_prefix: bool = True

    @model_validator(mode="after")
    def _no_pair_twice(self) -> Self:
        seen: set[tuple[StepType, Complexity]] = set()
        for rule in self.rules:
            levels = list(Complexity) if rule.complexity == "any" else [rule.complexity]
            for level in levels:
                if (rule.step, level) in seen:
                    raise ValueError(f"two rules for ({rule.step}, {level}); keep one of them")
                seen.add((rule.step, level))
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and validate a YAML file.

        Raises:
            ValueError: the file is not a valid routing table (pydantic's error names the line).
        """
        import yaml  # noqa: PLC0415 - functions import this module without carrying PyYAML

        try:
            said = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as exc:
            raise ValueError(f"{path}: is not YAML: {exc}") from None
        return cls.model_validate(said or {})

    @property
    def models(self) -> frozenset[str]:
        """Every model that a route names."""
        return frozenset(self.default).union(*(rule.models for rule in self.rules))

    def models_for(self, step: StepType, complexity: Complexity) -> tuple[str, ...]:
        """The models of a pair, preferred first."""
        for rule in self.rules:
            if rule.step is step and rule.complexity in ("any", complexity):
                return rule.models
        return self.default

    def route(self, step: StepType, complexity: Complexity) -> Route:
        """The route of a pair with what it escalates to; `name` is the state's name in the console."""
        models = self.models_for(step, complexity)
        escalation = self.models_for(step, Complexity.COMPLEX)
        cheaper = self.models_for(step, Complexity.SIMPLE)
        return Route(
            name=f"{step.value} {complexity.value}",
            models=models,
            escalation=escalation if escalation != models else (),
            cheaper=cheaper if cheaper != models else (),
            sticky=self.sticky_prefix,
        )

    def pinned(self) -> PinnedRoutes:
        """The table as a task keeps it."""
        simple, complex_ = Complexity.SIMPLE, Complexity.COMPLEX
        levels = {
            step: (self.models_for(step, simple), self.models_for(step, complex_))
            for step in StepType
        }
        return PinnedRoutes(levels, self.sticky_prefix)
