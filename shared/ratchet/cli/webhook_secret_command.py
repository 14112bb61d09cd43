"""webhook-secret: what a webhook's receiver verifies with, and another one in its place."""

import secrets
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ratchet.cli.aws_clients import clients, stack_outputs
from ratchet.cli.config import ApiConfig, api_config
from ratchet.cli.errors import CliError
from ratchet.cli.output import note, write_document
from ratchet.contracts.limits import SECRET_CACHE_SECONDS, WEBHOOK_OVERLAP_HOURS
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.webhook_keys import WebhookKeys

Url = Annotated[
    str, typer.Argument(metavar="URL", help="Where the webhooks go; the query does not matter.")
]
Tenant = Annotated[str, typer.Option(help="Whose webhooks.")]
Rotate = Annotated[bool, typer.Option("--rotate", help="Put a new secret in place of this one.")]
Overlap = Annotated[
    float,
    typer.Option(min=0, max=87_600, metavar="HOURS", help="How long the old one signs too."),
]
Stack = Annotated[str, typer.Option(help="The deployment's CloudFormation stack.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

_STAGE = "RATCHET_NEXT"
"""Where a version waits before it is put in force; one label, since a secret has room for twenty."""

Change = Callable[[WebhookKeys], WebhookKeys]


def webhook_secret(
    url: Url,
    *,
    tenant: Tenant = "default",
    rotate: Rotate = False,
    overlap: Overlap = WEBHOOK_OVERLAP_HOURS,
    stack: Stack = "Ratchet",
    as_json: AsJson = False,
) -> None:
    """Print the secret that signs the webhooks to a URL, the newest first. Needs your AWS credentials."""
    from ratchet.adapters.system import SystemClock  # noqa: PLC0415

    now_ms = SystemClock().now_ms()

    def rotated(keys: WebhookKeys) -> WebhookKeys:
        return keys.rotated(tenant, url, now_ms=now_ms, overlap_ms=int(overlap * 3_600_000))

    try:
        keys = stored_keys(api_config(), stack, change=rotated if rotate else None)
        found = list(keys.secrets(tenant, url, now_ms=now_ms))
    except InvalidRequest as exc:
        raise CliError(str(exc), "Nothing was changed.") from exc
    if as_json:
        write_document({"tenant": tenant, "url": url, "secrets": [*found]})
        return
    print("\n".join(found))
    if rotate:
        note(
            f"The first one signs within {SECRET_CACHE_SECONDS} s, the other one for {overlap:g} h more: "
            "give the first one to the receiver by then."
        )


def stored_keys(config: ApiConfig, stack: str, *, change: Change | None = None) -> WebhookKeys:
    """The keys of the stack that `config` talks to, with this change put into force.

    Raises:
        CliError: AWS refuses, does not answer, or somebody else changed them at the same time.
        InvalidRequest: what is stored cannot be read, or cannot hold more.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as in `clients`

    try:
        cloudformation, manager = clients(config, "cloudformation", "secretsmanager")
        arn = stack_outputs(cloudformation, stack)["WebhookSecretArn"]
        read = manager.get_secret_value(SecretId=arn, VersionStage="AWSCURRENT")
        keys = WebhookKeys.parse(read["SecretString"])
        if change is not None:
            keys = change(keys)
            _write(manager, arn, keys, instead_of=read["VersionId"])
    except (BotoCoreError, ClientError) as exc:
        raise CliError(
            f"the webhook secret of stack {stack} cannot be reached: {exc}",
            "Sign in to the deployment's AWS account and region with the right to read the stack and to read and "
            "write its webhook secret; --stack names the stack.",
        ) from exc
    return keys


def _write(manager: Any, arn: str, keys: WebhookKeys, *, instead_of: str) -> None:
    """Put the keys in force, unless they were changed since they were read: no rotation must undo another.

    Raises:
        CliError: they were.
    """
    version = secrets.token_hex(16)
    manager.put_secret_value(
        SecretId=arn,
        SecretString=keys.to_text(),
        ClientRequestToken=version,
        VersionStages=[_STAGE],
    )
    from botocore.exceptions import ClientError  # noqa: PLC0415 - as above

    try:
        # Refused unless AWSCURRENT is where it was when the keys were read.
        manager.update_secret_version_stage(
            SecretId=arn,
            VersionStage="AWSCURRENT",
            MoveToVersionId=version,
            RemoveFromVersionId=instead_of,
        )
    except ClientError as exc:
        if exc.response["Error"]["Code"] != "InvalidParameterException":
            raise
        raise CliError(
            "somebody else has changed the webhook secret at this moment", "Run it again."
        ) from exc
