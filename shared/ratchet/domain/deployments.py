"""Deployments: one model at several providers, and which of them a task prefers."""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

from ratchet.domain.quota import Quota

FAILOVER_AFTER_SECONDS = 30.0
"""A provider that asks to wait longer is left for the next one; a shorter wait keeps the task's cached prompts."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One model at one provider's account; weight 0 is a standby."""

    name: str
    model: str
    weight: int = 1
    quota: Quota | None = None
    timeout_seconds: float | None = None


def preference(key: str, deployments: Iterable[Deployment]) -> list[Deployment]:
    """The deployments in the order in which the holder of `key` asks them: always the same for the same key.

    Each is first for a share of the keys that is its share of the weight, and when one goes, only its own keys move:
    weighted rendezvous hashing. Standbys come last, in the order given.
    """
    found = list(deployments)
    weighted = [d for d in found if d.weight]
    weighted.sort(key=lambda d: (_score(key, d), d.name), reverse=True)
    return weighted + [d for d in found if not d.weight]


def _score(key: str, deployment: Deployment) -> float:
    return -deployment.weight / math.log(fraction(f"{deployment.name}\n{key}"))


def fraction(text: str) -> float:
    """A number between 0 and 1, both excluded, that only depends on the text."""
    digest = hashlib.sha256(text.encode()).digest()
    return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48
