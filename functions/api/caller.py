"""Who calls: from what the API Gateway's authorizer verified, never from the request itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ratchet.contracts.access import Identity
from ratchet.contracts.limits import MAX_USER_ID_CHARS
from ratchet.contracts.names import MemoryScope, Scope
from ratchet.contracts.request_errors import BadCredentials, ScopeMissing
from ratchet.contracts.task_api import GoalRequest
from ratchet.domain.memory import Namespace
from ratchet.domain.tenant_name import is_tenant_name

Asked = TypeVar("Asked", bound=GoalRequest)

_HOW = {
    "api_key": "send your API key in the x-api-key header",
    "iam": "sign the request with IAM SigV4",
    "jwt": "send your identity provider's access token as Authorization: Bearer",
}
_ALL = frozenset(Scope)
_ROLE = re.compile(r"arn:[^:]+:sts::\d{12}:assumed-role/([^/]+)/.+")
_USER = re.compile(r"arn:[^:]+:iam::\d{12}:user/(?:[^/]+/)*([^/]+)")


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller. `user` is None where the credentials name none."""

    tenant: str
    scopes: frozenset[Scope]
    user: str | None = None
    principal: str = ""  # as records name who decided: an IAM principal, a key, or a token's user

    def require(self, scope: Scope, route: str) -> None:
        """Refuse unless the caller has this scope.

        Raises:
            ScopeMissing: it has not.
        """
        if scope not in self.scopes:
            held = ", ".join(sorted(self.scopes)) or "none"
            raise ScopeMissing(f"{route} needs the scope {scope.value}; yours: {held}")

    def acting(self, request: Asked) -> Asked:
        """The request as this caller may make it: for its own user, unless it is an admin.

        Raises:
            ScopeMissing: it names another user.
        """
        if Scope.ADMIN in self.scopes or request.user_id == self.user:
            return request
        if request.user_id is None:
            return request.model_copy(update={"user_id": self.user})
        raise ScopeMissing(f"{self._own_user}: leave user_id out, or use some with the scope admin")

    def fork_of(self, user_id: str | None) -> None:
        """Refuse unless the caller may fork a task of this user: what it tells the fork is done in the user's name.

        Raises:
            ScopeMissing: it may not.
        """
        if Scope.ADMIN not in self.scopes and user_id not in (None, self.user):
            raise ScopeMissing(
                f"{self._own_user}: a fork of another user's task needs the scope admin"
            )

    def reach(self, namespace: Namespace, *, writes: bool) -> None:
        """Refuse unless the caller may read this namespace, or write to it.

        A user reaches its own. Everybody of the tenant may read what it shares; an admin may write there, and reaches
        every user's.

        Raises:
            ScopeMissing: it may not.
        """
        if Scope.ADMIN in self.scopes:
            return
        if namespace.scope is not MemoryScope.USER:
            if writes:
                raise ScopeMissing(
                    f"what all users share in {namespace} is written with the scope admin"
                )
            return
        if self.user is None or namespace.owner != self.user:
            raise ScopeMissing(f"{self._own_user}: another user's memory needs the scope admin")

    @property
    def _own_user(self) -> str:
        who = "name no user" if self.user is None else f"are those of user {self.user!r}"
        return f"your credentials {who}"


def caller_of(event: dict[str, Any], identity: Identity) -> Caller:
    """The verified caller of a request.

    Raises:
        BadCredentials: the request came past no authorizer of this kind, or its tenant or user is of no usable form.
    """
    authorizer = event.get("requestContext", {}).get("authorizer") or {}
    caller = None
    match identity.auth:
        case "iam":
            caller = _of_iam(authorizer.get("iam") or {}, identity)
        case "jwt":
            caller = _of_jwt((authorizer.get("jwt") or {}).get("claims") or {}, identity)
        case _:
            caller = _of_key(authorizer.get("lambda") or {})
    if caller is None:
        raise BadCredentials(_HOW.get(identity.auth, _HOW["api_key"]))
    if not is_tenant_name(caller.tenant):
        raise BadCredentials(
            "the tenant of your credentials is not 1 to 128 letters, digits, _ . : @ or -"
        )
    # What is kept of a longer one could not be named, nor deleted.
    if len(caller.user or "") > MAX_USER_ID_CHARS:
        raise BadCredentials(
            f"the user of your credentials has more than {MAX_USER_ID_CHARS} characters: another claim may be shorter"
        )
    return caller


def _of_key(context: Mapping[str, Any]) -> Caller | None:
    tenant = context.get("tenant")
    if not isinstance(tenant, str):
        return None
    scopes = _scopes(str(context.get("scopes", "")))
    by = f"key:{context.get('key_id') or tenant}"
    return Caller(tenant, scopes, context.get("user") or None, by)


def _of_iam(context: Mapping[str, Any], identity: Identity) -> Caller | None:
    """IAM policies on the API's routes say what a principal may call, so it has every scope here."""
    account = context.get("accountId")
    if not isinstance(account, str):
        return None
    arn = str(context.get("userArn") or account)
    if identity.iam_tenant != "principal":
        return Caller(account, _ALL, None, arn)
    for kind, pattern in (("role", _ROLE), ("user", _USER)):
        if found := pattern.fullmatch(arn):
            return Caller(f"{account}:{kind}:{found[1]}", _ALL, None, arn)
    return None


def _of_jwt(claims: Mapping[str, Any], identity: Identity) -> Caller | None:
    tenant = claims.get(identity.jwt_tenant_claim)
    if not isinstance(tenant, str):
        return None
    user = claims.get(identity.jwt_user_claim)
    granted = str(claims.get(identity.jwt_scope_claim, ""))
    return Caller(
        tenant,
        _scopes(granted, identity.jwt_scope_prefix),
        user if isinstance(user, str) and user else None,
        f"user:{user or tenant}",
    )


def _scopes(text: str, prefix: str = "") -> frozenset[Scope]:
    """The scopes of a claim: `a b`, or a list, which API Gateway hands over as `[a b]`."""
    words = {word for word in re.split(r"[\s,\[\]\"]+", text) if word.startswith(prefix)}
    known = {scope.value for scope in Scope}
    return frozenset(
        Scope(word.removeprefix(prefix)) for word in words if word[len(prefix) :] in known
    )
