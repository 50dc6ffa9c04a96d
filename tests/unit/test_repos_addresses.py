"""Which addresses are closed, which are opened, and what a name resolves to."""

from __future__ import annotations

import pytest

from launcher.errors import AddressRefused, HostUnreachable
from launcher.repos.addresses import AddressPolicy, Checked


@pytest.mark.parametrize(
    "host,kind",
    [
        ("127.0.0.1", "loopback"),
        ("127.1", "loopback"),
        ("2130706433", "loopback"),
        ("0x7f.1", "loopback"),
        ("017700000001", "loopback"),
        ("localhost", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "unspecified"),  # noqa: S104  # not bound to: refused
        ("::", "unspecified"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("100.127.255.255", "private"),
        ("169.254.169.254", "link-local"),
        ("168.63.129.16", "link-local"),
        ("fe80::1", "link-local"),
        ("fd00:ec2::254", "private"),
        ("fec0::1", "private"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("198.51.100.1", "private"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.0.0.1", "private"),
        ("::7f00:1", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("64:ff9b:1::1", "private"),
        ("2002:7f00:1::", "loopback"),
        ("2002:a00:1::1", "private"),
    ],
)
async def test_closed_addresses(host: str, kind: str) -> None:
    with pytest.raises(AddressRefused) as caught:
        await AddressPolicy().check(host, 443)
    assert (caught.value.host, caught.value.kind) == (host, kind)


@pytest.mark.parametrize("host", ["140.82.121.4", "2606:50c0:8000::153", "64:ff9b::8c52:7904"])
async def test_public_addresses(host: str) -> None:
    assert await AddressPolicy().check(host, 443) == Checked(host, 443, (host,))


@pytest.mark.parametrize(
    "networks,endpoints,host,port,allowed",
    [
        (["127.0.0.0/8"], [], "127.0.0.1", 9418, True),
        (["127.0.0.0/8"], [], "::ffff:127.0.0.1", 9418, True),
        (["127.0.0.0/8"], [], "::1", 9418, False),
        (["127.0.0.0/8"], [], "10.0.0.1", 9418, False),
        (["10.1.0.0/16"], [], "10.1.2.3", 80, True),
        (["fd00::/8"], [], "fd00::1", 80, True),
        ([], ["127.0.0.1:9418"], "127.0.0.1", 9418, True),
        ([], ["127.0.0.1:9418"], "127.0.0.1", 9419, False),
        ([], ["[::1]:9418"], "::1", 9418, True),
    ],
)
async def test_opened_addresses(networks: list[str], endpoints: list[str], host: str, port: int, allowed: bool) -> None:
    policy = AddressPolicy(networks, endpoints)
    if allowed:
        assert (await policy.check(host, port)).host == host
    else:
        with pytest.raises(AddressRefused):
            await policy.check(host, port)


async def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(HostUnreachable) as caught:
        await AddressPolicy().check("no-such-host.invalid", 443)
    assert caught.value.reason == "its name does not resolve"


async def test_every_address_of_a_name_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """One public and one private address: refused, whichever comes first."""
    both = [(2, 1, 6, "", ("140.82.121.4", 443)), (2, 1, 6, "", ("10.0.0.1", 443))]
    for listed in (both, both[::-1]):
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, listed=listed, **__: listed)
        with pytest.raises(AddressRefused) as caught:
            await AddressPolicy().check("two.example.org", 443)
        assert caught.value.address == "10.0.0.1"
