"""Which addresses repositories may lie at.

A host's every address is looked at, and what is looked at is what git and curl then connect to (`remote.py` pins it):
a name that answers differently the second time gains nothing.

Where the launcher's environment names a proxy for a host, the proxy connects, and so it decides: what this machine
can resolve is looked at all the same, what it cannot is left to the proxy.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import AddressRefused, HostUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_COMPATIBLE_FIRST = 2**16
"""Below are `::`, `::1` and the like, which carry no IPv4 address."""
_CLOSED: tuple[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str], ...] = (
    (ipaddress.IPv4Network("100.64.0.0/10"), "private"),  # carrier-grade NAT, and many overlay networks
    (ipaddress.IPv4Network("168.63.129.16/32"), "link-local"),  # a cloud's metadata service on a public address
    (ipaddress.IPv6Network("fec0::/10"), "private"),  # site-local, deprecated but routed in places
    (_NAT64_LOCAL, "private"),
)


@dataclass(frozen=True, slots=True)
class Checked:
    """A host whose every address may be connected to; `addresses` is empty only where a `proxy` resolves the name."""

    host: str
    port: int
    addresses: tuple[str, ...]
    proxy: str = ""
    """The address of the proxy that has to be used, or `""`: connect."""

    @property
    def pin(self) -> str:
        """What curl is told (CURLOPT_RESOLVE), so that it asks no name server; `""` where it has nothing to ask."""
        if self.proxy or ":" in self.host:
            return ""
        listed = ",".join(f"[{one}]" if ":" in one else one for one in self.addresses)
        return f"{self.host}:{self.port}:{listed}"


def proxy_for(protocol: str, host: str, port: int) -> str:
    """The proxy that this process's environment (`https_proxy`, `no_proxy`, …) names for a host, or `""`."""
    proxies = urllib.request.getproxies_environment()
    if protocol not in {"http", "https"} or urllib.request.proxy_bypass(f"{host}:{port}"):
        return ""
    return proxies.get(protocol) or proxies.get("all", "")


def kind(address: IPAddress) -> str:
    """Why an address is closed unless the operator opens it (`loopback`, `private`, …); `""` if it is public."""
    for network, name in _CLOSED:
        if address.version == network.version and address in network:
            return name
    kinds = (
        (address.is_unspecified, "unspecified"),
        (address.is_loopback, "loopback"),
        (address.is_link_local, "link-local"),
        (address.is_multicast, "multicast"),
        (address.is_reserved, "reserved"),
        (address.is_private, "private"),
        (not address.is_global, "reserved"),
    )
    return next((name for is_so, name in kinds if is_so), "")


def forms(address: IPAddress) -> Iterator[IPAddress]:
    """The addresses that packets sent to this one may reach: itself, and an IPv4 one that it carries."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _COMPATIBLE and int(address) >= _COMPATIBLE_FIRST:
        yield low
        return
    if address in _NAT64:
        yield low
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


class AddressPolicy:
    """Refuses loopback, private, link-local, multicast and reserved addresses unless the operator opened them."""

    def __init__(
        self,
        allowed_networks: Iterable[str] = (),
        allowed_endpoints: Iterable[str] = (),
        timeout_s: float = 10,
        threads: int = 8,
    ) -> None:
        """Networks as `10.1.0.0/16`, endpoints as `127.0.0.1:9418` or `[::1]:9418`. Raises ValueError."""
        self._networks = tuple(ipaddress.ip_network(text, strict=False) for text in allowed_networks)
        self._endpoints = frozenset(_endpoint(text) for text in allowed_endpoints)
        self._timeout_s = timeout_s
        # Names are resolved in threads; a stranger's name server may let each wait.
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="resolve-name")

    async def check(self, host: str, port: int, protocol: str = "") -> Checked:
        """Find the host's addresses and look at each. Raises AddressRefused, HostUnreachable."""
        proxy = proxy_for(protocol, host, port)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await loop.run_in_executor(self._pool, _addresses, host, port)
        except TimeoutError:
            raise HostUnreachable(host, "its name was not resolved in time") from None
        except (OSError, UnicodeError):
            if not proxy:
                raise HostUnreachable(host, "its name does not resolve") from None
            found = ()
        for address in found:
            self._check_one(host, address, port)
        return Checked(host, port, tuple(str(address) for address in found), proxy)

    def _check_one(self, host: str, address: IPAddress, port: int) -> None:
        for form in forms(address):
            name = kind(form)
            if name and not self._opened(form, port):
                raise AddressRefused(host, str(form), name)

    def _opened(self, address: IPAddress, port: int) -> bool:
        if (str(address), port) in self._endpoints:
            return True
        return any(address.version == network.version and address in network for network in self._networks)

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _endpoint(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return str(ipaddress.ip_address(host.strip("[]"))), int(port)


def _addresses(host: str, port: int) -> tuple[IPAddress, ...]:
    """In the resolver's order, each once. Spellings such as `0x7f.1` and `2130706433` are read as libc reads them."""
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found = dict.fromkeys(ipaddress.ip_address(str(info[4][0])) for info in infos)
    if not found:
        raise OSError
    return tuple(found)
