"""What the model says in a harness: a script, a function or another model; the same prompt always gets the same answer.

That last rule is what makes crashes comparable: an agent that dies and asks again hears what it heard before.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import BaseModel

from ratchet.contracts.errors import ModelError
from ratchet.domain.messages import ToolCall
from ratchet.model_ports import ChatModel, ModelAnswer, ModelCall
from ratchet.testing.chat import Outcome, asks, says
from ratchet.testing.prompt_digest import UnknownPrompt, how_it_differs, prompt_digest

Answer: TypeAlias = str | BaseModel | ToolCall | Sequence[ToolCall] | Outcome
Model: TypeAlias = Sequence[Answer] | Callable[[ModelCall], Answer] | ChatModel


class ScriptExhausted(AssertionError):
    """The script has no answer left, but the agent asks on."""


def calls(tool: str, /, **arguments: Any) -> ToolCall:
    """A call of a tool, for scripts: `calls("refund", order_id="A-1001", amount_usd=42.5)`."""
    return ToolCall(f"call_{tool}", tool, json.dumps(arguments, separators=(",", ":")))


def as_outcome(answer: Answer) -> Outcome:
    """Text, an output object, tool calls or a ModelError, as the port gives them."""
    match answer:
        case ModelAnswer() | ModelError():
            return answer
        case str():
            return says(answer)
        case BaseModel():
            return says(answer.model_dump_json())
        case ToolCall():
            return asks(answer)
        case _:
            return asks(*answer)


class AnswerBook:
    """Every outcome so far, by prompt. The model behind it is asked only what it was not asked before."""

    def __init__(self, model: Model) -> None:
        self._ask = _source(model)
        self._lock = threading.Lock()
        self._outcomes: dict[str, list[Outcome]] = {}

    def outcome(self, digest: str, nth: int, call: ModelCall, *, frozen: bool) -> Outcome:
        """What the prompt got, or gets, the nth time. A frozen book repeats its last outcome for ever."""
        with self._lock:
            known = self._outcomes.setdefault(digest, [])
            if nth <= len(known):
                return known[nth - 1]
            if known and (frozen or isinstance(known[-1], ModelAnswer)):
                return known[-1]
            known.append(self._ask(call))
            return known[-1]


class BookChat:
    """The `ChatModel` of one run. With `expected`, any other prompt is refused: this run differs from that one."""

    def __init__(self, book: AnswerBook, expected: Mapping[str, ModelCall] | None = None) -> None:
        self.book = book
        self.asked: dict[str, ModelCall] = {}
        self.times: Counter[str] = Counter()
        self._expected = expected

    def complete(self, call: ModelCall) -> ModelAnswer:
        """The answer that belongs to the prompt.

        Raises:
            ModelThrottled, ModelUnavailable, ModelRejected, ContextOverflow: as scripted.
            UnknownPrompt: the undisturbed run never asked this.
        """
        digest = prompt_digest(call)
        if self._expected is not None and digest not in self._expected:
            raise UnknownPrompt(how_it_differs(call, self._expected.values()))
        self.asked[digest] = call
        self.times[digest] += 1
        frozen = self._expected is not None
        outcome = self.book.outcome(digest, self.times[digest], call, frozen=frozen)
        if isinstance(outcome, ModelError):
            raise outcome
        return outcome


def _source(model: Model) -> Callable[[ModelCall], Outcome]:
    complete = getattr(model, "complete", None)
    if complete is not None:
        return lambda call: _completed(complete, call)
    if callable(model):
        return lambda call: as_outcome(model(call))
    if isinstance(model, str) or not isinstance(model, Sequence):
        raise TypeError("model: give a list of answers, a function of a ModelCall, or a ChatModel")
    script = iter(list(model))

    def following(call: ModelCall) -> Outcome:
        for answer in script:
            return as_outcome(answer)
        raise ScriptExhausted(
            f"all {len(model)} answers of the script are used, but {call.model} was asked again; "
            f"the last message: {(call.prompt.messages[-1].content or '')[:300]!r}"
        )

    return following


def _completed(complete: Callable[[ModelCall], ModelAnswer], call: ModelCall) -> Outcome:
    try:
        return complete(call)
    except ModelError as exc:
        return exc
