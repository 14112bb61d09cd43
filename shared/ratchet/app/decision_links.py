"""Signed links that stand for one answer to one question: who holds one may give that answer, once, until it closes.

A link names the question, the answer by its place among the choices, and a digest of exactly what is asked. All of it
is signed with a key made from the deployment's root key for this purpose and this deployment alone, so a link that was
altered, or made for a copy of the deployment, is refused before anything is read.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass

from ratchet.contracts.limits import MAX_LINK_CHARS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import ApprovalAnswer, InterruptKind
from ratchet.domain.steps import Interrupt
from ratchet.tenancy_ports import SigningKeys

PATH = "/v1/links/"
_PURPOSE = "ratchet decision link, form 1"  # another form of grant needs another purpose
_MAC_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class Grant:
    """What a link lets its holder do: give this answer, by its place, to the question of this digest."""

    task: TaskRef
    interrupt_id: str
    choice: int
    expires_at_ms: int
    digest: str

    def is_for(self, interrupt: Interrupt) -> bool:
        """Whether the question is still the one that the link was made for."""
        same = hmac.compare_digest(self.digest, digest_of(interrupt))
        return same and self.choice < len(interrupt.choices)


@dataclass(frozen=True, slots=True)
class DecisionLinks:
    """Makes links, and reads those that it made. `audience` is the deployment: its table's name."""

    keys: SigningKeys
    audience: str

    def tokens(self, task: TaskRef, interrupt: Interrupt) -> dict[str, str]:
        """A token for each answer that needs nothing but a click, by answer.

        May raise SecretUnavailable.
        """
        digest, root = digest_of(interrupt), self.keys.roots()[0]
        return {
            answer: self._signed(
                root, Grant(task, interrupt.id, place, interrupt.expires_at_ms, digest)
            )
            for place, answer in enumerate(interrupt.choices)
            if not _needs_more(interrupt, answer)
        }

    def read(self, token: str) -> Grant | None:
        """What a token grants; None if this deployment never made it.

        May raise SecretUnavailable.
        """
        found = _decoded(token)
        if found is None:
            return None
        mac, body = found
        for fresh in (False, True):  # another sandbox may know a newer key than this one does
            macs = [self._mac(root, body) for root in self.keys.roots(fresh=fresh)]
            if any([hmac.compare_digest(mac, own) for own in macs]):
                tenant, task_id, *rest = json.loads(body)
                return Grant(TaskRef(tenant, task_id), *rest)
        return None

    def _signed(self, root: str, grant: Grant) -> str:
        ref, asked = grant.task, (grant.interrupt_id, grant.choice)
        fields = [ref.tenant, ref.task_id, *asked, grant.expires_at_ms, grant.digest]
        body = json.dumps(fields, separators=(",", ":")).encode()
        return _encoded(self._mac(root, body) + body)

    def _mac(self, root: str, body: bytes) -> bytes:
        key = hmac.digest(root.encode(), _PURPOSE.encode(), hashlib.sha256)
        audience = hmac.digest(key, self.audience.encode(), hashlib.sha256)
        return hmac.digest(audience, body, hashlib.sha256)


@dataclass(frozen=True, slots=True)
class LinkBook:
    """The links of a deployment whose API answers at `base_url`."""

    links: DecisionLinks
    base_url: str

    @classmethod
    def create(cls, base_url: str, keys: SigningKeys, *, audience: str) -> "LinkBook | None":
        """The book of a deployment; None if it sends no links."""
        return cls(DecisionLinks(keys, audience), base_url) if base_url else None

    def of(self, task: TaskRef, interrupt: Interrupt) -> Mapping[str, str]:
        """The link of each answer that needs nothing but a click.

        May raise SecretUnavailable.
        """
        base = self.base_url.rstrip("/")
        tokens = self.links.tokens(task, interrupt)
        return {answer: f"{base}{PATH}{token}" for answer, token in tokens.items()}


def digest_of(interrupt: Interrupt) -> str:
    """Of exactly what is asked, and of the action that it is about."""
    action = "" if interrupt.call is None else interrupt.call.digest
    asked = [interrupt.kind, interrupt.call_id, interrupt.question, interrupt.choices, action]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]


def _needs_more(interrupt: Interrupt, answer: str) -> bool:
    return interrupt.kind is InterruptKind.APPROVAL and answer == ApprovalAnswer.EDIT


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(token: str) -> tuple[bytes, bytes] | None:
    if len(token) > MAX_LINK_CHARS:
        return None
    try:
        data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        return None
    if len(data) <= _MAC_BYTES or _encoded(data) != token:  # several texts decode to the same bytes
        return None
    return data[:_MAC_BYTES], data[_MAC_BYTES:]
