"""Opaque JSON of the model server: what is not read through a model of `model_wire`."""

import hashlib
import json
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]


def canonical(value: Any) -> str:
    """The one JSON text of a value, whatever order its keys came in."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def digest(*values: Any) -> str:
    """A short name for these values: the same for the same values, on any machine."""
    return hashlib.sha256(canonical(values).encode("utf-8", "surrogatepass")).hexdigest()[:24]
