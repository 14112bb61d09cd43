import pytest

from ratchet.contracts.tenant_caps import TenantCaps


def test_a_tenant_has_its_own_cap_or_everybodys() -> None:
    caps = TenantCaps.parse("*=50, acme = 200.5")
    assert (caps.of("acme"), caps.of("other")) == (200_500_000, 50_000_000)


def test_who_is_not_named_has_none() -> None:
    assert TenantCaps.parse("acme=0").of("acme") == 0
    assert TenantCaps.parse("acme=1").of("other") is None
    assert TenantCaps.parse("none").of("acme") is None


@pytest.mark.parametrize("text", ["", "acme", "acme=", "acme=-1", "a b=1", "acme=1;b=2", "acme=1,"])
def test_what_is_no_cap_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"tenant=dollars a day, as in '\*=50, acme=200'"):
        TenantCaps.parse(text)


def test_two_caps_of_one_tenant_are_refused() -> None:
    with pytest.raises(ValueError, match="'acme' is named twice"):
        TenantCaps.parse("acme=1, acme=2")
