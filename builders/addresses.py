"""Addresses that nobody outside an institution has, as far as their text says: no name server is asked.

They are read as the most lenient of the programs that fetch do: a scheme with any number of slashes of either kind,
digits in any alphabet, what is percent-encoded, numbers for addresses (`0x7f000001`, `2130706433`, `127.1`).
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

ONLY_WEB = "it fetches “{address}”, and only http, https and git addresses are fetched"
"""Of EnvironmentBroken: another scheme."""
SHOWN = 200
"""Characters of an address in a sentence."""
_HERE = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "test", "invalid")
_SLOPPY = re.compile(r"((?:[a-z]+\+)?https?):[/\\]*(.*)", re.IGNORECASE | re.DOTALL)
_COPIED = re.compile(r"[\w.-]+@([\w.-]+|\[[0-9a-fA-F:.]+\]):(?![/\\])")
"""As scp writes it: `git@host:path`."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def place(address: str) -> tuple[str, str]:
    """Host and scheme (`git+https`); `""` for each that cannot be told."""
    if match := _COPIED.match(address):
        return match[1].strip("[]").lower(), "ssh"
    if match := _SLOPPY.fullmatch(address):
        address = f"{match[1]}://{match[2]}".replace("\\", "/")
    try:
        url = urlsplit(address)
        found = url.hostname or "", url.scheme
    except ValueError:
        return "", ""
    return found


def is_private(host: str) -> bool:
    """Say whether a host is not one of the internet."""
    name = unicodedata.normalize("NFKC", unquote(host)).replace("\u3002", ".").rstrip(".").lower()
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        # Digits and dots that are no address are still read as one by some programs: 127.1, 0x7f000001.
        return "." not in name or name.endswith(tuple(f".{end}" for end in _HERE)) or _looks_like_number(name)
    return any(not one.is_global or one.is_multicast for one in _reached(address))


def _reached(address: Address) -> Iterator[Address]:
    """The address, and one of IPv4 that it carries."""
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        if address.sixtofour is not None:
            yield address.sixtofour
        if address in _NAT64:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _looks_like_number(name: str) -> bool:
    return name.rpartition(".")[2][:1].isdigit()
