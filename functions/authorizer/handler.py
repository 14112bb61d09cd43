"""Lambda authorizer (simple responses): an API key to the tenant, user and scopes that it belongs to."""

from typing import Any

from functions.authorizer.first_keys import tenant_of_key
from ratchet.adapters.aws import client
from ratchet.adapters.dynamodb_api_keys import DynamoDbApiKeys
from ratchet.adapters.rotated_secret import RotatedSecret
from ratchet.adapters.secrets import Secrets
from ratchet.adapters.system import SystemClock
from ratchet.app.api_keys import VerifyKey
from ratchet.app.front_door import FrontDoor
from ratchet.cold_start import once
from ratchet.contracts.access import API_KEY_HEADER
from ratchet.contracts.names import Scope
from ratchet.contracts.settings import AuthorizerSettings
from ratchet.unexpected import without_content

_DENIED: dict[str, Any] = {"isAuthorized": False}
_EVERYTHING = " ".join(sorted(Scope))


@once
def api_keys() -> tuple[Secrets, str]:
    """Where the deployment's first keys are."""
    arn = AuthorizerSettings.from_env().api_keys_secret_arn
    return Secrets(client("secretsmanager"), SystemClock()), arn


@once
def verify_key() -> VerifyKey:
    """Where the keys are that `ratchet keys` makes."""
    table = AuthorizerSettings.from_env().table_name
    return VerifyKey(DynamoDbApiKeys(client("dynamodb"), table=table), SystemClock())


@once
def front_door() -> FrontDoor | None:
    """The web front's door, where the deployment has one."""
    arn = AuthorizerSettings.from_env().origin_secret_arn
    if not arn:
        return None
    return FrontDoor(RotatedSecret(lambda: client("secretsmanager"), arn, clock=SystemClock()))


@without_content
def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Say whether the x-api-key header is one of the keys, and whose; to whom came around the web front, none is."""
    if (door := front_door()) is not None and not door.is_passed(event):
        return _DENIED
    offered = (event.get("headers") or {}).get(API_KEY_HEADER) or ""
    if (key := verify_key()(offered)) is not None:
        user = {} if key.user is None else {"user": key.user}
        told = {"tenant": key.tenant, "scopes": " ".join(sorted(key.scopes)), "key_id": key.id}
        return {"isAuthorized": True, "context": told | user}
    secrets, arn = api_keys()
    tenant = tenant_of_key(offered, secrets.get(arn))
    if tenant is None:
        return _DENIED
    return {"isAuthorized": True, "context": {"tenant": tenant, "scopes": _EVERYTHING}}
