"""How moto is corrected: attributes replaced one by one, each with its reason.

moto is pinned. A patch fails to install when moto no longer has the name it replaces, and a test
suspends each patch to see whether moto still needs it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ratchet.local.errors import LocalStackError

Original = Any


@dataclass(frozen=True, slots=True)
class _Replacement:
    owner: Any
    attribute: str
    original: Any


@dataclass(slots=True)
class Patch:
    """One difference between moto and AWS, and the attributes replaced to close it."""

    name: str
    reason: str
    replacements: list[_Replacement] = field(default_factory=list)

    def replace(self, owner: Any, attribute: str, new: Any) -> Original:
        """Puts ``new`` in the attribute's place and returns what was there.

        Raises:
            LocalStackError: moto has no such attribute any more.
        """
        missing = object()
        original = vars(owner).get(attribute, missing)
        if original is missing:
            where = getattr(owner, "__qualname__", getattr(owner, "__name__", repr(owner)))
            raise LocalStackError(
                f"patch {self.name!r}: moto has no {where}.{attribute}; this version of moto is "
                "not the pinned one"
            )
        self.replacements.append(_Replacement(owner, attribute, original))
        setattr(owner, attribute, new)
        return original

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Moto as it was, for a test that tells whether the patch is still needed."""
        # Another patch may have wrapped ours: what comes back is what was there, not ours.
        present = [vars(item.owner)[item.attribute] for item in self.replacements]
        for item in self.replacements:
            setattr(item.owner, item.attribute, item.original)
        try:
            yield
        finally:
            for item, value in zip(self.replacements, present, strict=True):
                setattr(item.owner, item.attribute, value)
