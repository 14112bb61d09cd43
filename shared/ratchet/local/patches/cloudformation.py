"""CloudFormation: our resource types, strictly, and errors that name the resource."""

from typing import Any

from moto.cloudformation import parsing

from ratchet.local.errors import LocalStackError
from ratchet.local.json_types import JsonObject
from ratchet.local.patches.patch import Original, Patch
from ratchet.local.template.moto_model import model_for


def install() -> list[Patch]:
    """Installs the patches of this module."""
    types = Patch("cfn-types", "unknown resource types are skipped in silence")
    types.replace(parsing, "resource_class_from_type", model_for)
    errors = Patch("cfn-errors", "a failed resource is not named")
    original = parsing.parse_and_create_resource
    errors.replace(parsing, "parse_and_create_resource", _naming(original))
    return [types, errors]


def _naming(original: Original) -> Any:
    def parse_and_create_resource(
        logical_id: str, resource_json: JsonObject, *a: Any, **k: Any
    ) -> Any:
        try:
            return original(logical_id, resource_json, *a, **k)
        except _NamedError:
            raise
        except Exception as exc:  # whatever fails, the user must see which resource it was
            kind = resource_json.get("Type")
            reason = str(exc) or repr(exc)
            raise _NamedError(f"{logical_id} ({kind}): {reason}") from exc

    return parse_and_create_resource


class _NamedError(LocalStackError):
    """An error that names its resource already."""
