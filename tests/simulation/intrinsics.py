"""The intrinsic functions that our state machine uses, as functions of its input: `States.MathAdd($.n, 1)`."""

import re
from collections.abc import Callable
from typing import Any

Read = Callable[[Any], Any]

_TOKEN = re.compile(r"\s*(States\.\w+|\$[\w.]*|-?\d+|[(),])")


def intrinsic(text: str, path_of: Callable[[str], Read]) -> Read:
    """What the call yields for an input; a random number is the largest that it may be."""
    tokens = _TOKEN.findall(text)
    read = _parsed(tokens, path_of)
    if tokens:
        raise NotImplementedError(f"{text}: {tokens} is left over")
    return read


def _parsed(tokens: list[str], path_of: Callable[[str], Read]) -> Read:
    token = tokens.pop(0)
    if token.startswith("$"):
        return path_of(token)
    if not token.startswith("States."):
        number = int(token)
        return lambda _: number
    tokens.pop(0)
    arguments = [_parsed(tokens, path_of)]
    while tokens.pop(0) == ",":
        arguments.append(_parsed(tokens, path_of))
    function = _FUNCTIONS[token]
    return lambda data: function([read(data) for read in arguments])


_FUNCTIONS: dict[str, Callable[[list[Any]], Any]] = {
    "States.Array": lambda given: given,
    "States.ArrayGetItem": lambda given: given[0][given[1]],
    "States.MathAdd": lambda given: given[0] + given[1],
    "States.MathRandom": lambda given: given[1] - 1,
}
