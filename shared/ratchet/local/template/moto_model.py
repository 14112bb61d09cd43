"""Our resource types as moto's CloudFormation wants them: subclasses of its model, by type."""

from functools import cache
from typing import Any

from moto.cloudformation.exceptions import UnformattedGetAttTemplateException
from moto.core.common_models import CloudFormationModel

from ratchet.local.errors import LocalStackError
from ratchet.local.json_types import JsonObject
from ratchet.local.runtime import Runtime, current
from ratchet.local.template import functions, http_api, messaging, scheduling, storage, workflow
from ratchet.local.template.ignored import IGNORED_TYPES, REFUSED_TYPES
from ratchet.local.template.resource import (
    RESOURCE_TYPES,
    Created,
    ResourceType,
    Wanted,
    physical_name,
)

MODULES = (functions, http_api, messaging, scheduling, storage, workflow)


@cache
def model_for(type_name: str) -> Any:
    """The moto model class of a resource type.

    Raises:
        LocalStackError: the local stack does not know the type, or cannot do without what it does.
    """
    if type_name in REFUSED_TYPES:
        raise LocalStackError(REFUSED_TYPES[type_name])
    if type_name not in RESOURCE_TYPES and type_name not in IGNORED_TYPES:
        raise LocalStackError(
            "the local stack does not support this type; remove it, or teach "
            "ratchet.local.template about it"
        )

    def create(cls: Any, _: str, cloudformation_json: JsonObject, /, *__: str, **names: str) -> Any:
        instance = cls()
        instance.created = _create(
            current(), type_name, names["LogicalId"], cloudformation_json.get("Properties", {})
        )
        instance.type = type_name
        return instance

    members = {
        "cloudformation_type": staticmethod(lambda: type_name),
        "cloudformation_name_type": staticmethod(lambda: ""),
        "has_cfn_attr": classmethod(lambda *_: True),
        "create_from_cloudformation_json": classmethod(create),
        "update_from_cloudformation_json": classmethod(_refuse_update),
        "delete_from_cloudformation_json": classmethod(_refuse_update),
        "physical_resource_id": property(lambda self: self.created.ref),
        "get_cfn_attribute": _attribute,
        "is_created": lambda _: True,
    }
    return type(type_name.replace("::", ""), (CloudFormationModel,), members)


def _create(runtime: Runtime, type_name: str, logical_id: str, properties: JsonObject) -> Created:
    if ignored := IGNORED_TYPES.get(type_name):
        runtime.ignored[logical_id] = ignored.reason
        name = physical_name(runtime.stack_name, logical_id, limit=64)
        endpoint = runtime.endpoint
        arn = ignored.arn.format(account=endpoint.account, region=endpoint.region, name=name)
        extra = dict.fromkeys(ignored.other_attributes, name)
        return Created(arn if ignored.ref_is_arn else name, {"Arn": arn, "Id": name, **extra})
    resource_type: ResourceType = RESOURCE_TYPES[type_name]
    resource_type.check_properties(properties)
    name = properties.get(resource_type.name_property) or physical_name(
        runtime.stack_name, logical_id, limit=resource_type.name_limit
    )
    return resource_type.create(runtime, Wanted(logical_id, str(name), properties))


def _attribute(self: Any, name: str) -> str:
    value = self.created.attributes.get(name)
    if not value:
        raise UnformattedGetAttTemplateException
    return str(value)


def _refuse_update(*_: Any, **__: Any) -> None:
    raise LocalStackError("a running local stack is not updated: close it and start it again")
