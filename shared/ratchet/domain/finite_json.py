"""Numbers that JSON has no words for: parsers read NaN and Infinity all the same, and so models could say them."""

import json
import math


def check_finite(text: str) -> None:
    """Refuse JSON that holds NaN, Infinity, or a number too large for any other.

    No comparison with NaN is true, so a bound that is written as `amount > 100` would let it through.

    Raises:
        ValueError: it does; the text says so to who wrote it.
    """
    json.loads(text, parse_constant=_refuse, parse_float=_finite)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text[:20])


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is not a finite number")
