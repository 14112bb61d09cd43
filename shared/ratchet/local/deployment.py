"""Creates the template's resources through moto's CloudFormation."""

import json
import re
from collections.abc import Mapping

from moto.cloudformation.models import cloudformation_backends

from ratchet.local.errors import LocalStackError
from ratchet.local.json_types import JsonObject
from ratchet.local.runtime import Runtime
from ratchet.local.template.functions import local_urls

_SSM_TYPE = "AWS::SSM::Parameter::Value"


def deploy(runtime: Runtime, parameters: Mapping[str, str]) -> dict[str, str]:
    """Creates the stack and returns its outputs.

    Raises:
        LocalStackError: a parameter or a resource cannot be honoured.
    """
    template = runtime.assembly.template
    declared: JsonObject = template.get("Parameters") or {}
    if "Transform" in template:
        raise LocalStackError(f"Transform {template['Transform']} is not supported locally")
    _check_parameters(declared, parameters)
    _put_bootstrap_parameters(runtime, declared)
    endpoint = runtime.endpoint
    backend = cloudformation_backends[endpoint.account][endpoint.region]
    try:
        stack = backend.create_stack(
            name=runtime.stack_name, template=json.dumps(template), parameters=dict(parameters)
        )
    except LocalStackError:
        raise
    except Exception as exc:  # moto's own checks raise many unrelated types
        raise LocalStackError(f"stack {runtime.stack_name}: {exc}") from exc
    outputs: list[JsonObject] = stack.outputs or []
    return {o["OutputKey"]: local_urls(runtime, str(o["OutputValue"])) for o in outputs}


def _check_parameters(declared: JsonObject, given: Mapping[str, str]) -> None:
    if unknown := sorted(set(given) - set(declared)):
        raise LocalStackError(
            f"the template has no parameter {', '.join(unknown)}; it has {sorted(declared)}"
        )
    for name, parameter in declared.items():
        if name not in given and "Default" not in parameter:
            raise LocalStackError(
                f"parameter {name} has no default: pass parameters={{{name!r}: ...}}"
            )
        _check_value(name, parameter, str(given.get(name, parameter.get("Default"))))


def _check_value(name: str, parameter: JsonObject, value: str) -> None:
    """CloudFormation's own constraints, which moto does not check."""
    allowed = [str(choice) for choice in parameter.get("AllowedValues") or [value]]
    if value not in allowed:
        raise LocalStackError(f"parameter {name} must be one of {allowed}")
    pattern = parameter.get("AllowedPattern")
    if pattern and not re.fullmatch(pattern, value):
        raise LocalStackError(f"parameter {name} must match {pattern}")
    if parameter["Type"] == "Number":
        low, high = parameter.get("MinValue", "-inf"), parameter.get("MaxValue", "inf")
        if not float(low) <= float(value) <= float(high):
            raise LocalStackError(f"parameter {name} must be between {low} and {high}")


def _put_bootstrap_parameters(runtime: Runtime, declared: JsonObject) -> None:
    """CDK templates read the bootstrap version from SSM; nothing was bootstrapped here."""
    for parameter in declared.values():
        name = str(parameter.get("Default", ""))
        if parameter["Type"].startswith(_SSM_TYPE) and name.startswith("/cdk-bootstrap/"):
            runtime.endpoint.client("ssm").put_parameter(Name=name, Type="String", Value="31")
