"""What an agent's own check says of an answer."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from ratchet.contracts.names import Json, StepType


class Confidence(StrEnum):
    """The verdict: `LOW` sends the step to the complex route, once."""

    OK = "ok"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Answer:
    """A usable answer without tool calls; `output` is the result's value where the step gives the result."""

    step_type: StepType
    text: str
    output: Json


Check: TypeAlias = Callable[[Answer], Confidence]
