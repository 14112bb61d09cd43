"""AWS::Lambda types."""

import re
from pathlib import Path

from ratchet.local.errors import LocalStackError
from ratchet.local.events.delivery import check_target
from ratchet.local.events.sqs_mapping import SqsMapping
from ratchet.local.functions.model import AsyncPolicy, FunctionConfig
from ratchet.local.json_types import JsonObject
from ratchet.local.runtime import Runtime
from ratchet.local.template.resource import Created, Wanted, is_true, resource

_WARMTH = "sandboxes are pooled: capacity changes speed, not behaviour"


@resource(
    "AWS::Lambda::Function",
    honours="FunctionName Code Handler Runtime Timeout MemorySize Environment PackageType "
    "ReservedConcurrentExecutions DeadLetterConfig",
    ignores={
        "Role": "no access control locally",
        "Layers": "sandboxes use the packages of this virtual environment",
        "Architectures": "sandboxes run on this machine",
        "LoggingConfig": "output goes to the log sink of the stack",
        "TracingConfig": "no X-Ray locally",
        "EphemeralStorage": "sandboxes write to this machine's disk",
        "SnapStart": "sandboxes start cold or warm, never from a snapshot",
        "KmsKeyArn": "nothing is encrypted locally",
        "RecursiveLoop": "no loop detection locally",
        "RuntimeManagementConfig": "the runtime is this interpreter",
    },
    name_property="FunctionName",
    name_limit=64,
)
def function(runtime: Runtime, wanted: Wanted) -> Created:
    """A function that runs in local sandboxes."""
    properties = wanted.properties
    wanted.require("PackageType", None, "Zip")
    language = str(properties.get("Runtime", ""))
    if not language.startswith("python"):
        raise LocalStackError(f"Runtime {language!r} is not supported locally: only python is")
    arn = runtime.endpoint.arn("lambda", f"function:{wanted.name}")
    variables: JsonObject = (properties.get("Environment") or {}).get("Variables") or {}
    reserved = properties.get("ReservedConcurrentExecutions")
    dead_letters = (properties.get("DeadLetterConfig") or {}).get("TargetArn")
    if dead_letters:
        check_target(dead_letters)
    runtime.functions.registry.add(
        FunctionConfig(
            name=wanted.name,
            arn=arn,
            handler=properties["Handler"],
            runtime=language,
            timeout=float(properties.get("Timeout", 3)),
            memory=int(properties.get("MemorySize", 128)),
            environment={k: local_urls(runtime, str(v)) for k, v in variables.items()},
            code_dir=_code_dir(runtime, wanted),
            reserved=None if reserved is None else int(reserved),
            dead_letter_arn=dead_letters,
        )
    )
    runtime.function_ids[wanted.logical_id] = wanted.name
    return Created(wanted.name, {"Arn": arn})


@resource(
    "AWS::Lambda::Version",
    honours="FunctionName",
    ignores={
        "CodeSha256": "the code is what was synthesized",
        "ProvisionedConcurrencyConfig": _WARMTH,
        "RuntimePolicy": "the runtime is this interpreter",
    },
)
def version(runtime: Runtime, wanted: Wanted) -> Created:
    """A version: a qualifier of the one code that there is locally."""
    reference = wanted.properties["FunctionName"]
    number = runtime.functions.registry.publish(reference)
    arn = f"{runtime.functions.registry.config(reference).arn}:{number}"
    return Created(arn, {"Version": number, "FunctionArn": arn})


@resource(
    "AWS::Lambda::Alias",
    honours="Name FunctionName FunctionVersion",
    ignores={"ProvisionedConcurrencyConfig": _WARMTH},
)
def alias(runtime: Runtime, wanted: Wanted) -> Created:
    """An alias: another qualifier."""
    properties = wanted.properties
    runtime.functions.registry.config(properties["FunctionName"], properties["FunctionVersion"])
    arn = runtime.functions.registry.add_alias(properties["FunctionName"], properties["Name"])
    return Created(arn, {"AliasArn": arn})


@resource(
    "AWS::Lambda::EventInvokeConfig",
    honours="FunctionName Qualifier MaximumRetryAttempts DestinationConfig",
    ignores={"MaximumEventAgeInSeconds": "events are not kept for hours locally"},
)
def event_invoke_config(runtime: Runtime, wanted: Wanted) -> Created:
    """Retries and destinations of asynchronous invocations."""
    properties = wanted.properties
    destinations = properties.get("DestinationConfig") or {}
    success = (destinations.get("OnSuccess") or {}).get("Destination")
    failure = (destinations.get("OnFailure") or {}).get("Destination")
    for arn in filter(None, (success, failure)):
        check_target(arn)
    policy = AsyncPolicy(
        retries=int(properties.get("MaximumRetryAttempts", 2)),
        on_success_arn=success,
        on_failure_arn=failure,
    )
    runtime.functions.registry.set_policy(properties["FunctionName"], policy)
    return Created(wanted.name)


@resource(
    "AWS::Lambda::EventSourceMapping",
    honours="EventSourceArn FunctionName BatchSize Enabled FunctionResponseTypes ScalingConfig",
    ignores={
        "MaximumBatchingWindowInSeconds": "it only delays batches",
        "MetricsConfig": "no metrics locally",
        "ProvisionedPollerConfig": _WARMTH,
    },
)
def event_source_mapping(runtime: Runtime, wanted: Wanted) -> Created:
    """A queue that invokes a function."""
    properties = wanted.properties
    source = properties["EventSourceArn"]
    if source.split(":")[2] != "sqs":
        raise LocalStackError(f"event source {source} is not supported locally: only queues are")
    scaling = properties.get("ScalingConfig") or {}
    responses = properties.get("FunctionResponseTypes") or []
    if is_true(properties.get("Enabled", True)):
        runtime.pollers.add(
            SqsMapping(
                queue_arn=source,
                function=properties["FunctionName"],
                batch_size=int(properties.get("BatchSize", 10)),
                max_concurrency=int(scaling.get("MaximumConcurrency", 5)),
                reports_failures="ReportBatchItemFailures" in responses,
            )
        )
    arn = runtime.endpoint.arn("lambda", f"event-source-mapping:{wanted.name}")
    return Created(wanted.name, {"Id": wanted.name, "EventSourceMappingArn": arn})


def local_urls(runtime: Runtime, text: str) -> str:
    """The text with execute-api addresses of the template's APIs made local."""
    for api_id in runtime.front.apis:
        pattern = rf"https://{api_id}\.execute-api\.[a-z0-9-]+\.amazonaws\.com"
        text = re.sub(pattern, runtime.front.url(api_id), text)
    return text


def _code_dir(runtime: Runtime, wanted: Wanted) -> Path:
    code = wanted.properties["Code"]
    if "ZipFile" in code:
        return runtime.assembly.inline_code_dir(wanted.logical_id, code["ZipFile"])
    if "S3Key" not in code:
        raise LocalStackError(f"Code {sorted(code)} is not supported locally: only assets are")
    return runtime.assembly.code_dir(code["S3Key"])
