"""The keys of the deployment's secret: the first one, made with the stack, and what a team puts beside it."""

import hmac
import json


def tenant_of_key(offered: str, secret: str) -> str | None:
    """The tenant of an offered key; every key is compared, in constant time.

    The secret is one `{"tenant", "key"}` object, or `{"keys": [...]}` of them; `{"keys": []}` opens to nobody.
    """
    stored = json.loads(secret)
    found = None
    for entry in stored.get("keys", [stored]):
        same = hmac.compare_digest(entry["key"].encode(), offered.encode(errors="replace"))
        if same and entry["key"]:  # a secret that was never filled in opens nothing
            found = entry["tenant"]
    return found
