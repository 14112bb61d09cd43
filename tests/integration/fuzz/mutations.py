"""Bytes as an attacker bends them: from a good input, by a seed."""

import json
from random import Random
from typing import Any

_BLOCKS = (
    *(b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\r\n", b"%00", b"../", b"#", b"'\"", b"{}", b"[]"),
    *(b"null", b"true", b"-1", b"1e999", b"NaN", b"99999999999999999999", b"\\u0000", b"\\ud800"),
    *(
        "\u202e".encode(),
        "\u0663".encode(),
        "\uff21".encode(),
        b"TENANT#globex",
        b"__proto__",
        b"${jndi}",
    ),
)
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 10**30, 1.5, "", "x", "\x00", "\ud800", "a#b", "a" * 300),
    *([], [[]], {}, {"": ""}, ["a"]),
)
MAX_CHANGES = 4


def bent(dice: Random, data: bytes) -> bytes:
    """The bytes with a few of them flipped, cut out, doubled, or replaced by what parsers stumble over."""
    for _ in range(dice.randint(1, MAX_CHANGES)):
        at = dice.randrange(len(data) + 1)
        to = min(len(data), at + dice.randint(0, 8))
        match dice.randrange(5):
            case 0 if at < len(data):
                data = data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]
            case 1:
                data = data[:at] + data[to:]
            case 2:
                data = data[:to] + data[at:]
            case 3:
                data = data[:at] + dice.choice(_BLOCKS) + data[to:]
            case _:
                data = data[:at] + dice.randbytes(dice.randint(1, 4)) + data[at:]
    return data


def bent_text(dice: Random, text: str) -> str:
    """As `bent`, as text: what is not UTF-8 arrives as replacement characters, as API Gateway does it."""
    return bent(dice, text.encode(errors="surrogatepass")).decode(errors="replace")


def bent_json(dice: Random, document: Any) -> Any:
    """A JSON document with bent bytes, or, when it is none any more, with a part of another kind or gone."""
    try:
        return json.loads(bent(dice, json.dumps(document).encode()))
    except (ValueError, RecursionError):
        return _reshaped(dice, document)


def _reshaped(dice: Random, document: Any) -> Any:
    if isinstance(document, dict) and document and dice.random() < 0.85:
        key = dice.choice(list(document))
        if dice.random() < 0.2:
            return {name: value for name, value in document.items() if name != key}
        return {**document, key: _reshaped(dice, document[key])}
    if isinstance(document, list) and document and dice.random() < 0.85:
        at = dice.randrange(len(document))
        return [*document[:at], _reshaped(dice, document[at]), *document[at + 1 :]]
    return dice.choice(_ODD)
