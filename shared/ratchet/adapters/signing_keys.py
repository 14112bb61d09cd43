"""The deployment's root key, from Secrets Manager: the one in force and the one before it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ratchet.adapters.rotated_secret import RotatedSecret
from ratchet.domain.webhook_keys import WebhookKeys
from ratchet.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


class SecretsManagerSigningKeys(RotatedSecret):
    """`SigningKeys` from the secret that signs webhooks."""

    def __init__(
        self, connect: Callable[[], "SecretsManagerClient"], arn: str, *, clock: Clock
    ) -> None:
        super().__init__(connect, arn, clock=clock, key_of=_root)


def _root(text: str) -> str:
    return WebhookKeys.parse(text).root
