"""All patches, installed once per process."""

from functools import cache

from ratchet.local.patches import (
    cloudformation,
    dynamodb,
    events,
    sfn_api,
    sfn_integrations,
    sfn_jsonata,
    sfn_lambda,
    sfn_limits,
    sfn_speed,
    sfn_stop,
    sns,
    sqs,
)
from ratchet.local.patches.patch import Patch

_MODULES = (
    cloudformation,
    dynamodb,
    events,
    sfn_api,
    sfn_integrations,
    sfn_jsonata,
    sfn_lambda,
    sfn_limits,
    sfn_speed,
    sfn_stop,
    sns,
    sqs,
)


@cache
def install_patches() -> dict[str, Patch]:
    """Installs every patch and returns them by name."""
    return {patch.name: patch for module in _MODULES for patch in module.install()}
