"""The deployment's root key, from Secrets Manager: the one in force and the one before it."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ratchet.adapters.aws import error_code
from ratchet.adapters.secrets import CURRENT, MAX_AGE_SECONDS, secret_text
from ratchet.contracts.errors import ServiceRefused
from ratchet.contracts.limits import SECRET_LOOK_SECONDS
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.webhook_keys import WebhookKeys
from ratchet.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

_PREVIOUS = "AWSPREVIOUS"


class SecretsManagerSigningKeys:
    """`SigningKeys` from the secret that signs webhooks. Nothing is connected to or read before the first use."""

    def __init__(
        self, connect: Callable[[], "SecretsManagerClient"], arn: str, *, clock: Clock
    ) -> None:
        self._connect = connect
        self._arn = arn
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[float, tuple[str, ...]] | None = None

    def roots(self, *, fresh: bool = False) -> Sequence[str]:
        """The root key in force, then the one before it, at most 300 s old; `fresh`: at most 15 s.

        Raises:
            SecretUnavailable: it cannot be read now.
            ServiceRefused: it does not exist, cannot be used, or this function may not read it.
        """
        with self._lock:
            now = self._clock.monotonic()
            max_age = SECRET_LOOK_SECONDS if fresh else MAX_AGE_SECONDS
            if self._kept is None or now - self._kept[0] >= max_age:
                self._kept = now, self._read()
            return self._kept[1]

    def _read(self) -> tuple[str, ...]:
        manager = self._connect()
        try:
            root = WebhookKeys.parse(secret_text(manager, self._arn, CURRENT)).root
        except InvalidRequest as exc:
            raise ServiceRefused(f"secret {self._arn} cannot be used: {exc}") from exc
        before = self._previous(manager)
        return (root,) if before in (None, root) else (root, before)

    def _previous(self, manager: "SecretsManagerClient") -> str | None:
        """What was there before; None if there is nothing to go by."""
        try:
            return WebhookKeys.parse(secret_text(manager, self._arn, _PREVIOUS)).root
        except InvalidRequest:
            return None
        except ServiceRefused as exc:
            if exc.__cause__ is not None and error_code(exc.__cause__) == _ABSENT:
                return None
            raise


_ABSENT = "ResourceNotFoundException"
