"""What a tenant may be called."""

from ratchet.domain.keys import UnsafeKey, tenant_key


def is_tenant_name(text: str) -> bool:
    """Whether a verified name can be part of a key; a claim may hold anything."""
    try:
        tenant_key(text)
    except UnsafeKey:
        return False
    return True
