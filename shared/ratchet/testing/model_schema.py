"""JSON Schema as the scripted model needs it: the strict subset, and a smallest valid instance."""

from collections.abc import Iterator
from typing import Any

from ratchet.testing.model_errors import bad_request
from ratchet.testing.model_json import JsonObject

_FORMATS = {
    "date": "2025-01-01",
    "date-time": "2025-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_TOO_DEEP = 12


def refuse_loose_schema(
    schema: JsonObject, *, where: str, param: str, code: str | None = None
) -> None:
    """Refuse what the API refuses of a `strict` schema.

    Raises:
        ApiError: 400, when an object allows other properties or leaves some of its own optional.
    """
    if schema.get("type") != "object":
        found = schema.get("type", "None")
        message = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{found}\"'."
        raise bad_request(f"Invalid schema for {where}: {message}", param=param, code=code)
    for context, node in _objects(schema, ()):
        complaint = _complaint(node)
        if complaint:
            message = f"Invalid schema for {where}: In context={context!r}, {complaint}"
            raise bad_request(message, param=param, code=code)


def minimal_instance(schema: JsonObject, text: str) -> Any:
    """The smallest value that the schema accepts; free strings hold `text`."""
    return _Builder(schema, text).build(schema, 0)


def resolve(schema: JsonObject, root: JsonObject) -> JsonObject:
    """The schema that a local `$ref` points at, or the schema itself."""
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#"):
        return schema
    node: Any = root
    for part in reference[1:].strip("/").split("/"):
        if part:
            node = node.get(part, {}) if isinstance(node, dict) else {}
    siblings = {key: value for key, value in schema.items() if key != "$ref"}
    return {**node, **siblings} if isinstance(node, dict) else siblings


def _objects(schema: Any, context: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], JsonObject]]:
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" or "properties" in schema:
        yield context, schema
    for keyword in ("properties", "$defs", "definitions"):
        for name, child in schema.get(keyword, {}).items():
            yield from _objects(child, (*context, keyword, name))
    yield from _objects(schema.get("items"), (*context, "items"))
    for keyword in ("anyOf", "allOf", "oneOf"):
        for number, child in enumerate(schema.get(keyword, ())):
            yield from _objects(child, (*context, keyword, str(number)))


def _complaint(node: JsonObject) -> str | None:
    if node.get("additionalProperties") is not False:
        return "'additionalProperties' is required to be supplied and to be false."
    for name in node.get("properties", {}):
        if name not in node.get("required", ()):
            return (
                "'required' is required to be supplied and to be an array including every key "
                f"in properties. Missing '{name}'."
            )
    return None


class _Builder:
    def __init__(self, root: JsonObject, text: str) -> None:
        self._root = root
        self._text = text

    def build(self, schema: Any, depth: int) -> Any:
        node = self._settled(schema, depth) if isinstance(schema, dict) else {}
        if "const" in node or node.get("enum"):
            return node["const"] if "const" in node else node["enum"][0]
        kind = _type_of(node)
        if kind in {"object", "array"}:
            return (self._object if kind == "object" else self._array)(node, depth)
        return _scalar(kind, node, self._text)

    def _array(self, node: JsonObject, depth: int) -> list[Any]:
        count = int(node.get("minItems", 0))
        return [self.build(node.get("items", {}), depth + 1) for _ in range(count)]

    def _settled(self, schema: JsonObject, depth: int) -> JsonObject:
        node = resolve(schema, self._root)
        for part in node.get("allOf", ()):
            node = {**node, **resolve(part, self._root)}
        for keyword in ("anyOf", "oneOf"):
            options = [resolve(option, self._root) for option in node.get(keyword, ())]
            if options:
                # A type that holds itself ends here: null is the way out of the recursion.
                nullable = any(option.get("type") == "null" for option in options)
                if depth >= _TOO_DEEP and nullable:
                    return {"type": "null"}
                rest = {key: value for key, value in node.items() if key != keyword}
                return self._settled({**rest, **options[0]}, depth)
        return node

    def _object(self, node: JsonObject, depth: int) -> JsonObject:
        if depth > 2 * _TOO_DEEP:
            return {}
        properties = node.get("properties", {})
        wanted = [name for name in properties if name in node.get("required", ())]
        return {name: self.build(properties[name], depth + 1) for name in wanted}


def _type_of(node: JsonObject) -> str:
    declared = node.get("type")
    if isinstance(declared, list):
        return next((name for name in declared if name != "null"), "null")
    if isinstance(declared, str):
        return declared
    return "object" if "properties" in node else "string"


def _scalar(kind: str, node: JsonObject, text: str) -> str | float | bool | None:
    match kind:
        case "integer":
            return int(_number(node))
        case "number":
            return _number(node)
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return _string(node, text)


def _number(node: JsonObject) -> float:
    lowest = node.get("minimum")
    if "exclusiveMinimum" in node:
        lowest = node["exclusiveMinimum"] + 1
    highest = node.get("maximum")
    if "exclusiveMaximum" in node:
        highest = node["exclusiveMaximum"] - 1
    if lowest is not None and lowest > 0:
        return float(lowest) if isinstance(lowest, float) else int(lowest)
    if highest is not None and highest < 0:
        return float(highest) if isinstance(highest, float) else int(highest)
    return 0


def _string(node: JsonObject, text: str) -> str:
    chosen = _FORMATS.get(str(node.get("format")), text)
    longest = node.get("maxLength")
    if isinstance(longest, int):
        chosen = chosen[:longest]
    return chosen.ljust(int(node.get("minLength", 0)), ".")
