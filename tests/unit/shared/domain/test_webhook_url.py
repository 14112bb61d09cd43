"""Which webhook addresses are taken."""

import pytest

from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.webhook_url import WebhookUrl, check_webhook_url


@pytest.mark.parametrize(
    ("url", "host", "target", "authority"),
    [
        ("https://hooks.example.com/a?b=c", "hooks.example.com", "/a?b=c", "hooks.example.com"),
        ("https://HOOKS.Example.COM", "hooks.example.com", "/", "hooks.example.com"),
        ("https://hooks.example.com:443/", "hooks.example.com", "/", "hooks.example.com"),
        ("https://hooks.example.com./x", "hooks.example.com", "/x", "hooks.example.com"),
        ("HTTPS://a.io/", "a.io", "/", "a.io"),
        ("https://bücher.example/", "xn--bcher-kva.example", "/", "xn--bcher-kva.example"),
        ("https://e\uff58ample\uff0ecom/", "example.com", "/", "example.com"),
        ("https://7.example.com/", "7.example.com", "/", "7.example.com"),
    ],
)
def test_public_https_names_are_taken_and_normalised(
    url: str, host: str, target: str, authority: str
) -> None:
    parsed = WebhookUrl.parse(url)
    assert (parsed.host, parsed.port, parsed.target) == (host, 443, target)
    assert parsed.authority == authority
    assert not parsed.is_loopback


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("", "characters"),
        ("https://a.io/" + "x" * 2048, "characters"),
        ("http://example.com/", "use https"),
        ("ftp://example.com/", "use https"),
        ("//example.com/", "use https"),
        ("example.com/hook", "use https"),
        ("https://user:pw@example.com/", "user name"),
        ("https://@example.com/", "user name"),
        ("https://example.com:8443/", "port 443"),
        ("https://example.com:0/", "port 443"),
        ("https://example.com:99999/", "not a URL"),
        ("https://example.com:x/", "not a URL"),
        ("https://[::1/", "not a URL"),
        ("https://127.0.0.1/", "IP address"),
        ("https://[2606:4700::1]/", "IP address"),
        ("https://[v1.example.com]/", "IP address"),
        ("https://2130706433/", "IP address"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com/\r\nHost: evil", "percent-encode"),
        ("https://example.com\\@evil.com/", "percent-encode"),
        ("https://example.com/ü", "percent-encode"),
        ("https://example.com/?q=ü", "percent-encode"),
        ("https:///path", "host name"),
        ("https://intranet/", "public DNS"),
        ("https://a_b.example.com/", "host name"),
        ("https://-a.example.com/", "host name"),
        ("https://a..example.com/", "host name"),
        (f"https://{'a' * 64}.com/", "host name"),
        (f"https://{'a.' * 130}com/", "host name"),
        ("https://%31%32%37.0.0.1.example.com/", "host name"),
    ],
)
def test_everything_else_is_refused_with_what_to_do(url: str, hint: str) -> None:
    with pytest.raises(InvalidRequest, match=hint):
        check_webhook_url(url)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://127.0.0.1:8080/x", "127.0.0.1:8080"),
        ("http://localhost/x", "localhost"),
        ("https://localhost:8443/x", "localhost:8443"),
        ("http://[::1]:9/x", "[::1]:9"),
    ],
)
def test_the_local_stack_may_call_this_machine(url: str, authority: str) -> None:
    parsed = WebhookUrl.parse(url, allow_loopback=True)
    assert parsed.is_loopback
    assert parsed.authority == authority
    with pytest.raises(InvalidRequest):
        check_webhook_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "http://127.0.0.2:80/",
        "http://10.0.0.1/",
        "https://example.com:8443/",
        "ftp://localhost/",
        "http://localhost:80@example.com/",
    ],
)
def test_the_loopback_switch_opens_nothing_else(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_webhook_url(url, allow_loopback=True)
