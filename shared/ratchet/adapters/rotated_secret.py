"""A secret whose value may be replaced while it is in use: the one in force and the one before it."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ratchet.adapters.aws import error_code
from ratchet.adapters.secrets import CURRENT, MAX_AGE_SECONDS, secret_text
from ratchet.contracts.errors import ServiceRefused
from ratchet.contracts.limits import SECRET_LOOK_SECONDS
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

_PREVIOUS = "AWSPREVIOUS"
_ABSENT = "ResourceNotFoundException"


class RotatedSecret:
    """`SigningKeys` from one secret. Nothing is connected to or read before the first use."""

    def __init__(
        self,
        connect: Callable[[], "SecretsManagerClient"],
        arn: str,
        *,
        clock: Clock,
        key_of: Callable[[str], str] = str,
    ) -> None:
        """`key_of` takes the key out of the stored text, and raises InvalidRequest where there is none."""
        self._connect = connect
        self._arn = arn
        self._clock = clock
        self._key_of = key_of
        self._lock = threading.Lock()
        self._kept: tuple[float, tuple[str, ...]] | None = None

    def roots(self, *, fresh: bool = False) -> Sequence[str]:
        """The key in force, then the one before it, at most 300 s old; `fresh`: at most 15 s.

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
            key = self._key_of(secret_text(manager, self._arn, CURRENT))
        except InvalidRequest as exc:
            raise ServiceRefused(f"secret {self._arn} cannot be used: {exc}") from exc
        before = self._previous(manager)
        return (key,) if before in (None, key) else (key, before)

    def _previous(self, manager: "SecretsManagerClient") -> str | None:
        """What was there before; None if there is nothing to go by."""
        try:
            return self._key_of(secret_text(manager, self._arn, _PREVIOUS))
        except InvalidRequest:
            return None
        except ServiceRefused as exc:
            if exc.__cause__ is not None and error_code(exc.__cause__) == _ABSENT:
                return None
            raise
