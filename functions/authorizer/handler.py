"""Lambda authorizer (simple responses): an API key to the tenant that it belongs to."""

import hmac
import json
from typing import Any

from ratchet.adapters.aws import client
from ratchet.adapters.secrets import Secrets
from ratchet.adapters.system import SystemClock
from ratchet.cold_start import once
from ratchet.contracts.settings import AuthorizerSettings

_DENIED: dict[str, Any] = {"isAuthorized": False}


@once
def api_keys() -> tuple[Secrets, str]:
    """Where the keys are kept."""
    return Secrets(
        client("secretsmanager"), SystemClock()
    ), AuthorizerSettings.from_env().api_keys_secret_arn


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Say whether the x-api-key header is one of the keys, and whose."""
    offered = (event.get("headers") or {}).get("x-api-key") or ""
    secrets, arn = api_keys()
    tenant = tenant_of_key(offered, secrets.get(arn))
    return _DENIED if tenant is None else {"isAuthorized": True, "context": {"tenant": tenant}}


def tenant_of_key(offered: str, secret: str) -> str | None:
    """The tenant of an offered key; every key is compared, in constant time.

    The secret is one `{"tenant", "key"}` object, or `{"keys": [...]}` of them.
    """
    stored = json.loads(secret)
    found = None
    for entry in stored.get("keys", [stored]):
        same = hmac.compare_digest(entry["key"].encode(), offered.encode())
        if same and entry["key"]:  # a secret that was never filled in opens nothing
            found = entry["tenant"]
    return found
