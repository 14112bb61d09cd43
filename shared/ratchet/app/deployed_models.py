"""What a deployment may call: its models with their prices, and its routes. The CDK app writes it into the bundle."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from ratchet.contracts.messages import Route
from ratchet.contracts.priced_models import how_to_price
from ratchet.contracts.request_errors import ModelNotPriced
from ratchet.domain.models import ModelCatalogue, built_in


@dataclass(frozen=True, slots=True)
class DeployedModels:
    """Without a file: the built-in catalogue and no routes."""

    catalogue: ModelCatalogue = field(default_factory=built_in)
    routes: tuple[Route, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file that bundling wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        routes = tuple(Route.from_dict(route) for route in data["routes"])
        return cls(ModelCatalogue.from_json(data["models"]), routes)

    def check(self, routes: Iterable[Route] | None = None) -> None:
        """Refuse a task that may reach a model without a price, by these routes or by the deployment's own.

        Raises:
            ModelNotPriced: one of them leads to such a model.
        """
        for route in self.routes if routes is None else routes:
            for model in (*route.models, *route.escalation):
                if model not in self.catalogue:
                    raise ModelNotPriced(
                        f"route {route.name!r} leads to model {model!r}, which has no price; "
                        + how_to_price(model)
                    )
