"""Secrets from Secrets Manager, kept by the process for a while."""

import threading
from typing import TYPE_CHECKING

from ratchet.adapters.aws import AWS_ERRORS, store_error
from ratchet.contracts.errors import SecretUnavailable, ServiceRefused
from ratchet.contracts.limits import SECRET_CACHE_SECONDS
from ratchet.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

MAX_AGE_SECONDS = float(SECRET_CACHE_SECONDS)
CURRENT = "AWSCURRENT"


class Secrets:
    """The text of secrets by ARN."""

    def __init__(self, client: "SecretsManagerClient", clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, str]] = {}

    def get(self, arn: str, *, fresh: bool = False) -> str:
        """The secret's text, at most MAX_AGE_SECONDS old; `fresh` asks again, for a secret just refused.

        Raises:
            SecretUnavailable: it cannot be read now.
            ServiceRefused: it does not exist, is disabled, or this function may not read it.
        """
        with self._lock:
            read_at, text = self._kept.get(arn, (0.0, None))
            if text is None or fresh or self._clock.monotonic() - read_at >= MAX_AGE_SECONDS:
                text = secret_text(self._client, arn, CURRENT)
                self._kept[arn] = self._clock.monotonic(), text
            return text


def secret_text(manager: "SecretsManagerClient", arn: str, stage: str) -> str:
    """The text of a secret's version, by its label.

    Raises:
        SecretUnavailable: it cannot be read now.
        ServiceRefused: it does not exist, is disabled, or this function may not read it.
    """
    try:
        # Named, though one is the default: moto forgets that a label can move.
        answer = manager.get_secret_value(SecretId=arn, VersionStage=stage)
        text = answer.get("SecretString")
    except AWS_ERRORS as exc:
        error = store_error(exc)
        if error.retryable:
            raise SecretUnavailable(f"secret {arn}: {error}") from exc
        raise error from exc
    if text is None:
        raise ServiceRefused(f"secret {arn} holds bytes, not text")
    return text
