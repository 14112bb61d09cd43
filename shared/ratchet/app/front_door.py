"""The one way in, where a deployment has a web front: what came around it is refused.

API Gateway's own address cannot be closed, since CloudFront reaches the API by it. So CloudFront shows a secret with
each request that it passes on, and whoever does not show it has not been seen by the web ACL.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ratchet.contracts.access import ORIGIN_HEADER
from ratchet.contracts.request_errors import AroundTheFront
from ratchet.tenancy_ports import SigningKeys

_REFUSED = (
    "this address takes requests from the deployment's web front only: send yours to the address in the "
    "stack's output ApiUrl"
)


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """Knows what CloudFront shows: the secret in force, and until it has heard of that one, the one before it."""

    keys: SigningKeys

    def is_passed(self, event: Mapping[str, Any]) -> bool:
        """Whether a request, as API Gateway hands it over, came through the web front.

        Raises:
            SecretUnavailable: what it must show cannot be read now.
        """
        shown = str((event.get("headers") or {}).get(ORIGIN_HEADER) or "")
        if not shown:
            return False
        # CloudFront may show a newer secret than this sandbox has read.
        return self._is_known(shown) or self._is_known(shown, fresh=True)

    def require(self, event: Mapping[str, Any]) -> None:
        """Refuse what did not come through the web front.

        Raises:
            AroundTheFront: it did not.
            SecretUnavailable: what it must show cannot be read now.
        """
        if not self.is_passed(event):
            raise AroundTheFront(_REFUSED)

    def _is_known(self, shown: str, *, fresh: bool = False) -> bool:
        offered = shown.encode(errors="surrogatepass")
        same = [hmac.compare_digest(offered, k.encode()) for k in self.keys.roots(fresh=fresh)]
        return any(same)
