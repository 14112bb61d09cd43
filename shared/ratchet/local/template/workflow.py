"""AWS::StepFunctions types."""

import json

from ratchet.local.errors import LocalStackError
from ratchet.local.json_types import JsonObject
from ratchet.local.runtime import Runtime
from ratchet.local.template.asl_check import check_definition
from ratchet.local.template.resource import Created, Wanted, resource


@resource(
    "AWS::StepFunctions::StateMachine",
    honours="StateMachineName DefinitionString Definition DefinitionS3Location "
    "DefinitionSubstitutions StateMachineType RoleArn",
    ignores={
        "LoggingConfiguration": "the execution history is the log",
        "TracingConfiguration": "no X-Ray locally",
        "EncryptionConfiguration": "nothing is encrypted locally",
    },
    name_property="StateMachineName",
    name_limit=80,
)
def state_machine(runtime: Runtime, wanted: Wanted) -> Created:
    """A standard state machine."""
    wanted.require("StateMachineType", None, "STANDARD")
    definition = _definition(runtime, wanted.properties)
    try:
        check_definition(json.loads(definition))
    except (KeyError, ValueError, TypeError) as exc:
        raise LocalStackError(f"the definition is malformed: {exc!r}") from exc
    arn = runtime.endpoint.client("stepfunctions").create_state_machine(
        name=wanted.name, definition=definition, roleArn=wanted.properties["RoleArn"]
    )["stateMachineArn"]
    return Created(arn, {"Arn": arn, "Name": wanted.name, "StateMachineRevisionId": "INITIAL"})


@resource(
    "AWS::StepFunctions::StateMachineVersion", honours="StateMachineArn StateMachineRevisionId"
)
def version(runtime: Runtime, wanted: Wanted) -> Created:
    """A version of the definition as it is now."""
    machine = wanted.properties["StateMachineArn"]
    stepfunctions = runtime.endpoint.client("stepfunctions")
    role = stepfunctions.describe_state_machine(stateMachineArn=machine)["roleArn"]
    # moto has no PublishStateMachineVersion; an update that changes nothing publishes too.
    arn = stepfunctions.update_state_machine(stateMachineArn=machine, roleArn=role, publish=True)[
        "stateMachineVersionArn"
    ]
    return Created(arn, {"Arn": arn})


@resource(
    "AWS::StepFunctions::StateMachineAlias",
    honours="Name RoutingConfiguration DeploymentPreference",
)
def alias(runtime: Runtime, wanted: Wanted) -> Created:
    """An alias of one version; a second one in its routing has no effect."""
    properties = wanted.properties
    routes: list[JsonObject] = properties.get("RoutingConfiguration") or []
    preference: JsonObject = properties.get("DeploymentPreference") or {}
    target = (
        routes[0]["StateMachineVersionArn"]
        if routes
        else preference.get("StateMachineVersionArn", "")
    )
    if not target:
        raise LocalStackError("the alias names no state machine version")
    arn = runtime.endpoint.client("stepfunctions").create_state_machine_alias(
        name=wanted.name,
        routingConfiguration=[{"stateMachineVersionArn": target, "weight": 100}],
    )["stateMachineAliasArn"]
    return Created(arn, {"Arn": arn})


def _definition(runtime: Runtime, properties: JsonObject) -> str:
    if "DefinitionS3Location" in properties:
        definition = runtime.assembly.text(properties["DefinitionS3Location"]["Key"])
    elif "Definition" in properties:
        definition = json.dumps(properties["Definition"])
    else:
        definition = properties["DefinitionString"]
    for name, value in (properties.get("DefinitionSubstitutions") or {}).items():
        definition = definition.replace("${" + name + "}", str(value))
    return str(definition)
