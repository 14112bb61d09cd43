"""Reaches behind the API, with AWS credentials: for what no caller of the API may do."""

from typing import Any

from ratchet.cli.config import ApiConfig


def clients(config: ApiConfig, *services: str) -> list[Any]:
    """Clients of the account and region that `config`'s API runs in, or of the local AWS."""
    import botocore.session  # noqa: PLC0415 - half a second that other commands need not pay

    from ratchet.cli.signing import region_of  # noqa: PLC0415

    session = botocore.session.get_session()
    if config.aws_url:
        session.set_credentials("local", "local")
    region = config.region or region_of(config.url.partition("://")[2])
    where: dict[str, Any] = {"region_name": region, "endpoint_url": config.aws_url or None}
    return [session.create_client(service, **where) for service in services]


def stack_outputs(cloudformation: Any, stack: str) -> dict[str, str]:
    """What the stack's template gives out, by name."""
    (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    return {o["OutputKey"]: o["OutputValue"] for o in found["Outputs"]}
