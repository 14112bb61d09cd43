"""Which webhook addresses are taken at all: pure syntax, no name resolution.

What a name resolves to is checked at each delivery (`ratchet.adapters.webhook_address`).
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from ratchet.contracts.limits import WEBHOOK_MAX_URL_CHARS
from ratchet.contracts.request_errors import InvalidRequest

HTTPS_PORT = 443
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

_VISIBLE_ASCII = re.compile(r"[!-~]+")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# The WHATWG URL standard reads a host whose last label is a number as an IPv4 address: 127.1, 0x7f.1, 2130706433.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """A webhook's address, taken apart and normalised. `host` is ASCII, lower case, without a final dot."""

    host: str
    port: int
    target: str
    is_https: bool = True

    @property
    def is_loopback(self) -> bool:
        """Whether it names this very machine (which only the local stack may)."""
        return self.host in LOOPBACK_HOSTS

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = self.port == (HTTPS_PORT if self.is_https else 80)
        return host if default else f"{host}:{self.port}"

    @classmethod
    def parse(cls, url: str, *, allow_loopback: bool = False) -> "WebhookUrl":
        """Take an address apart. `allow_loopback` also takes http and any port on this machine.

        Raises:
            InvalidRequest: the address is not one that Ratchet delivers to; the text says what to give instead.
        """
        if not url or len(url) > WEBHOOK_MAX_URL_CHARS:
            raise _refused(f"give 1 to {WEBHOOK_MAX_URL_CHARS} characters")
        parts, host, port = _split(url)
        _check_outside_host(parts, url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if allow_loopback and host in LOOPBACK_HOSTS and parts.scheme in {"http", "https"}:
            is_https = parts.scheme == "https"
            return cls(host, port or (HTTPS_PORT if is_https else 80), target, is_https)
        if parts.scheme != "https":
            raise _refused("use https")
        if port not in {None, HTTPS_PORT}:
            raise _refused("use port 443")
        if "[" in parts.netloc or _is_address(host.removesuffix(".")):
            raise _refused("give a host name, not an IP address")
        return cls(_public_name(host), HTTPS_PORT, target)


def endpoint_of(url: str) -> str:
    """The URL as far as it names a receiver: without what differs from task to task, the query.

    Raises:
        InvalidRequest: it is not a URL.
    """
    parts, host, port = _split(url)
    default = HTTPS_PORT if parts.scheme == "https" else 80
    name = f"[{host}]" if ":" in host else host.removesuffix(".")
    where = name if port in {None, default} else f"{name}:{port}"
    return f"{parts.scheme}://{where}{parts.path or '/'}"


def check_webhook_url(url: str, *, allow_loopback: bool = False) -> None:
    """Refuse an address at submit time that could never be delivered to.

    Raises:
        InvalidRequest: says what to give instead.
    """
    WebhookUrl.parse(url, allow_loopback=allow_loopback)


def _split(url: str) -> tuple[SplitResult, str, int | None]:
    # urlsplit drops tabs and line ends without a word, and browsers read a backslash as a slash.
    if "\\" in url or any(c <= " " or c == "\x7f" for c in url):
        raise _refused("percent-encode blanks, control characters and backslashes")
    try:
        parts = urlsplit(url)
        return parts, _ascii_host(parts.hostname or ""), parts.port
    except ValueError:  # UnicodeError included
        raise _refused("it is not a URL; give https://host/path") from None


def _ascii_host(host: str) -> str:
    """IDNA, which also folds fullwidth digits and dots into the ASCII ones that they stand for."""
    return host if host.isascii() else host.encode("idna").decode().lower()


def _check_outside_host(parts: SplitResult, url: str) -> None:
    if "@" in parts.netloc:
        raise _refused("leave out user name and password; requests are signed instead")
    if "#" in url:
        raise _refused("leave out the fragment (#...)")
    if not _VISIBLE_ASCII.fullmatch(parts.path + parts.query + "-"):
        raise _refused("percent-encode characters outside ASCII in the path and the query")


def _public_name(host: str) -> str:
    name = host.removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused("its host is not a valid host name")
    if len(labels) < 2 or labels[-1] in {"localhost", "local", "internal"}:
        raise _refused("give a host name that is known in public DNS")
    return name


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return _NUMBER.fullmatch(name.rpartition(".")[2]) is not None
    return True


def _refused(what_to_do: str) -> InvalidRequest:
    return InvalidRequest(f"the webhook URL is not accepted: {what_to_do}")
