"""Which secrets sign a webhook: every endpoint of every tenant has its own, and may change it without a gap.

The stored text is either the root key alone, as the deployment generates it, or JSON: the root key, and the endpoints
whose secret was rotated. An endpoint's secret is made from the root key, so none is stored, and knowing one tells
nothing about another.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ratchet.contracts.limits import MAX_WEBHOOK_KEYS_BYTES
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.webhook_url import endpoint_of

_PURPOSE = "ratchet webhook secret"


@dataclass(frozen=True, slots=True)
class Rotation:
    """The secret in use is number `version`; the one before it signs too until `until_ms`."""

    version: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class WebhookKeys:
    """A deployment's root key, and the rotations by tenant and endpoint."""

    root: str
    rotations: Mapping[str, Rotation] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "WebhookKeys":
        """Read the stored text.

        Raises:
            InvalidRequest: it is JSON of another form, or empty.
        """
        if not text.startswith("{"):
            return cls._checked(text, {})
        try:
            data = json.loads(text)
            rotations = {
                str(name): Rotation(int(r["version"]), int(r["until_ms"]))
                for name, r in data["endpoints"].items()
            }
            return cls._checked(str(data["root"]), rotations)
        except (ValueError, LookupError, TypeError, AttributeError):
            raise InvalidRequest(_MALFORMED) from None

    @classmethod
    def _checked(cls, root: str, rotations: Mapping[str, Rotation]) -> "WebhookKeys":
        if not root:
            raise InvalidRequest(
                "the webhook secret is empty (setting webhook_secret_arn): fill it"
            )
        return cls(root, rotations)

    def secrets(self, tenant: str, url: str, *, now_ms: int) -> tuple[str, ...]:
        """What signs for this endpoint now, newest first, in the form that Standard Webhooks gives to secrets."""
        name = _name(tenant, url)
        rotation = self.rotations.get(name, Rotation(1, 0))
        versions = [rotation.version]
        if now_ms < rotation.until_ms:
            versions.append(rotation.version - 1)
        return tuple(self._secret(name, version) for version in versions)

    def rotated(self, tenant: str, url: str, *, now_ms: int, overlap_ms: int) -> "WebhookKeys":
        """With a new secret for this endpoint; the one in use signs too for as long as `overlap_ms`.

        Raises:
            InvalidRequest: more endpoints were rotated than the store of secrets can remember.
        """
        name = _name(tenant, url)
        before = self.rotations.get(name, Rotation(1, 0))
        after = Rotation(before.version + 1, now_ms + overlap_ms)
        keys = replace(self, rotations={**self.rotations, name: after})
        if len(keys.to_text().encode()) > MAX_WEBHOOK_KEYS_BYTES:
            raise InvalidRequest(
                "too many endpoints have rotated their secret: replace the root key, and with it all secrets"
            )
        return keys

    def without(self, tenant: str) -> "WebhookKeys":
        """With no rotation of this tenant's endpoints: what they sign with is made from the root key alone."""
        own = f"{tenant} "
        kept = {name: r for name, r in self.rotations.items() if not name.startswith(own)}
        return replace(self, rotations=kept)

    def to_text(self) -> str:
        """The inverse of `parse`."""
        rotated = {
            name: {"version": r.version, "until_ms": r.until_ms}
            for name, r in self.rotations.items()
        }
        return json.dumps({"root": self.root, "endpoints": rotated}, separators=(",", ":"))

    def _secret(self, name: str, version: int) -> str:
        text = f"{_PURPOSE}\n{name}\n{version}"
        made = hmac.new(self.root.encode(), text.encode(), hashlib.sha256).digest()
        return "whsec_" + base64.b64encode(made).decode()


def _name(tenant: str, url: str) -> str:
    return f"{tenant} {endpoint_of(url)}"


_MALFORMED = (
    'the webhook secret is neither a text nor {"root": ..., "endpoints": {...}}: `ratchet webhook-secret` '
    "writes it; the version before it is still in Secrets Manager as AWSPREVIOUS"
)
