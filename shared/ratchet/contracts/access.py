"""Who may call what: the scope of every route, and where a deployment finds its callers' identity."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

from ratchet.contracts.names import Scope

AUTHORIZER_CACHE_SECONDS = 60
"""API Gateway keeps an API key's verdict this long: a revoked key is refused everywhere after it."""
API_KEY_HEADER = "x-api-key"
ORIGIN_HEADER = "x-ratchet-origin"
"""In it CloudFront shows the API its secret, where a deployment has a web front; what callers write there is lost."""

ROUTE_SCOPES: Mapping[str, Scope | None] = {
    "POST /v1/tasks": Scope.SUBMIT,
    "GET /v1/tasks": Scope.READ,
    "GET /v1/tasks/{task_id}": Scope.READ,
    "GET /v1/tasks/{task_id}/steps": Scope.READ,
    "GET /v1/tasks/{task_id}/events": Scope.READ,
    "POST /v1/tasks/{task_id}/cancel": Scope.SUBMIT,
    "POST /v1/tasks/{task_id}/resume": Scope.SUBMIT,
    "POST /v1/tasks/{task_id}/fork": Scope.SUBMIT,
    "POST /v1/tasks/{task_id}/interrupts/{interrupt_id}": Scope.DECIDE,
    "POST /v1/batches": Scope.SUBMIT,
    "GET /v1/batches/{batch_id}": Scope.READ,
    "POST /v1/schedules": Scope.SUBMIT,
    "GET /v1/schedules": Scope.READ,
    "GET /v1/schedules/{schedule_id}": Scope.READ,
    "DELETE /v1/schedules/{schedule_id}": Scope.SUBMIT,
    "GET /v1/interrupts": Scope.READ,
    "GET /v1/sessions": Scope.READ,
    "GET /v1/sessions/{session_id}": Scope.READ,
    "DELETE /v1/sessions/{session_id}": Scope.ADMIN,
    # Whose memory a caller reaches, its user decides too: `Caller.reach`.
    "GET /v1/memory/{namespace}": Scope.READ,
    "DELETE /v1/memory/{namespace}": Scope.SUBMIT,
    "GET /v1/memory/{namespace}/{key}": Scope.READ,
    "PUT /v1/memory/{namespace}/{key}": Scope.SUBMIT,
    "DELETE /v1/memory/{namespace}/{key}": Scope.SUBMIT,
    "GET /v1/deliveries": Scope.READ,
    "GET /v1/tasks/{task_id}/deliveries": Scope.READ,
    "POST /v1/tasks/{task_id}/deliveries/{delivery_id}/redeliver": Scope.SUBMIT,
    "GET /v1/usage": Scope.READ,
    "GET /v1/agents": Scope.READ,
    "GET /v1/routes": Scope.READ,
    # Open to all: they tell nothing of any tenant.
    "GET /v1/health": None,
    "GET /v1/openapi.json": None,
}
"""Every route of the API, in API Gateway's words. What is not here is not answered to anybody but with 404."""

LINK_ROUTES = ("GET /v1/links/{token}", "POST /v1/links/{token}")
"""Open to whoever holds a signed link, where a deployment sends them. No part of the API that programs call."""


@dataclass(frozen=True, slots=True)
class Identity:
    """How a deployment's callers prove who they are, and which verified words say it."""

    auth: str = "api_key"  # or iam, jwt
    iam_tenant: str = "account"  # or principal: each role or user is a tenant of its own
    jwt_issuer: str = ""
    jwt_tenant_claim: str = "tenant"
    jwt_user_claim: str = "sub"
    jwt_scope_claim: str = "scope"
    jwt_scope_prefix: str = ""  # Cognito writes scopes as `resource-server/scope`

    def to_setting(self) -> str:
        """As one environment variable."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_setting(cls, text: str) -> Self:
        """The inverse of `to_setting`."""
        return cls(**json.loads(text))
