"""How a CloudFormation resource type is described here, and the table of all of them.

A type is strict: every property is either honoured, or ignored for a stated reason, or refused.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ratchet.local.errors import LocalStackError
from ratchet.local.json_types import Json, JsonObject
from ratchet.local.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Created:
    """A created resource: what Ref gives and what GetAtt gives."""

    ref: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A resource to create: its physical name and its resolved properties."""

    logical_id: str
    name: str
    properties: JsonObject

    def require(self, name: str, *allowed: Json) -> Json:
        """The property's value, which must be one of ``allowed``.

        Raises:
            LocalStackError: another value.
        """
        value = self.properties.get(name)
        if value not in allowed:
            raise LocalStackError(
                f"{name} {value!r} is not supported locally: only {', '.join(map(repr, allowed))}"
            )
        return value


Factory = Callable[[Runtime, Wanted], Created]


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One supported type."""

    name: str
    create: Factory
    honoured: frozenset[str]
    ignored: Mapping[str, str]
    name_property: str
    name_limit: int

    def check_properties(self, properties: JsonObject) -> None:
        """Refuses properties that would be silently dropped.

        Raises:
            LocalStackError: a property that is neither honoured nor ignored on purpose.
        """
        unknown = set(properties) - self.honoured - set(self.ignored)
        if unknown:
            raise LocalStackError(
                f"the local stack does not honour {', '.join(sorted(unknown))}; remove it, or teach "
                f"ratchet.local.template about it"
            )


RESOURCE_TYPES: dict[str, ResourceType] = {}

COSMETIC = {
    "Description": "documentation",
    "Tags": "billing and search",
}


def resource(
    type_name: str,
    *,
    honours: str,
    ignores: Mapping[str, str] = COSMETIC,
    name_property: str = "Name",
    name_limit: int = 255,
) -> Callable[[Factory], Factory]:
    """Registers the factory of a type; ``honours`` lists property names."""

    def register(create: Factory) -> Factory:
        RESOURCE_TYPES[type_name] = ResourceType(
            name=type_name,
            create=create,
            honoured=frozenset(honours.split()),
            ignored={**COSMETIC, **ignores},
            name_property=name_property,
            name_limit=name_limit,
        )
        return create

    return register


def physical_name(stack_name: str, logical_id: str, *, limit: int) -> str:
    """The same name at every boot, so that a journal finds its tables and buckets again."""
    digest = hashlib.sha256(f"{stack_name}/{logical_id}".encode()).hexdigest()[:12]
    return f"{f'{stack_name}-{logical_id}'[: limit - 13]}-{digest}"


def pick(properties: JsonObject, names: str) -> JsonObject:
    """The named properties that are present."""
    return {name: properties[name] for name in names.split() if name in properties}


def is_true(value: Json) -> bool:
    """A CloudFormation boolean, which may come as a string."""
    return str(value).lower() == "true"
