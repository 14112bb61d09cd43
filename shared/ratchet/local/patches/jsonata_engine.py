"""JSONata with the functions that Step Functions adds.

https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

import hashlib
import json
import random
import threading
from typing import Any
from uuid import uuid4

import jsonata
from jsonata.utils import Utils

from ratchet.local.json_types import Json, JsonObject

_CACHED_EXPRESSIONS = 2000
_MAX_EXACT_INTEGER = 2**53


class UndefinedResultError(Exception):
    """The expression has no value, which Step Functions treats as an error."""


class EvaluationError(Exception):
    """The expression is invalid or failed."""


class _Expressions(threading.local):
    """Parsed expressions; they keep state while they run, so every thread has its own."""

    def __init__(self) -> None:
        self.by_source: dict[str, Any] = {}


_expressions = _Expressions()


def evaluate(source: str, bindings: JsonObject) -> Json:
    """The value of an expression, given variables.

    Raises:
        UndefinedResultError: it has no value.
        EvaluationError: it is invalid or fails.
    """
    try:
        result = _parsed(source).evaluate(None, bindings)
    except Exception as exc:  # the library raises its own and Python's errors alike
        raise EvaluationError(str(exc)) from exc
    if result is None:
        raise UndefinedResultError
    if callable(result) or type(result).__name__ in ("JLambda", "JFunction"):
        raise EvaluationError("the expression returned a function")
    return _plain(Utils.convert_nulls(result))


def _parsed(source: str) -> Any:
    cache = _expressions.by_source
    if source not in cache:
        if len(cache) >= _CACHED_EXPRESSIONS:
            cache.clear()
        expression = jsonata.Jsonata(source)
        expression.set_output_convert_nulls(False)
        for name, function in _FUNCTIONS.items():
            expression.register_lambda(name, function)
        cache[source] = expression
    return cache[source]


def _partition(values: list[Json], size: float) -> list[list[Json]]:
    step = int(size)
    return [values[start : start + step] for start in range(0, len(values), step)]


def _range(first: float, last: float, step: float) -> list[float]:
    numbers, number = [], first
    while (step > 0 and number <= last) or (step < 0 and number >= last):
        numbers.append(number)
        number += step
    return numbers


def _hash(value: Json, algorithm: str = "MD5") -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return hashlib.new(algorithm.replace("-", "").lower(), text.encode()).hexdigest()


def _random(*seed: float) -> float:
    return random.Random(seed[0]).random() if seed and seed[0] is not None else random.random()


_FUNCTIONS = {
    "partition": _partition,
    "range": _range,
    "hash": _hash,
    "random": _random,
    "uuid": lambda: str(uuid4()),
    "parse": json.loads,
}


def _plain(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_EXACT_INTEGER:
        return int(value)
    return value
