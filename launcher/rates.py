"""How often somebody may come: so many at once, and as many again within the period, steadily.

The generic cell rate algorithm: one number per key. Ours rather than a library's, as the number of keys must have an
end: whoever has many addresses must not fill the memory. Used by the launcher and, at `/hub/guest`, by the hub.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

PERIOD_S: Final = 600.0
"""Every limit is so many within ten minutes."""
LOOPBACK: Final = ("127.0.0.1", "::1")
MOST_KEYS: Final = 20_000
_WITH_PORT = re.compile(r"(?P<v4>[0-9.]+):[0-9]{1,5}|\[(?P<v6>[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Standing:
    """How somebody stands with a limit."""

    limit: int
    remaining: int
    """So many at once, now."""
    full_s: int
    """Whole seconds until it is all of them again."""


@dataclass(slots=True)
class Rates:
    """At most `limit` per key at once, regained evenly within `PERIOD_S`. A limit of 0: as often as one likes.

    Beyond `MOST_KEYS` the key that was seen longest ago is forgotten: a stranger with that many addresses is for the
    limit that all share.
    """

    clock: Callable[[], float]
    """Monotonic seconds."""
    _limit: int | Callable[[], int]
    _until: OrderedDict[str, float]

    def __init__(self, limit: int | Callable[[], int], clock: Callable[[], float]) -> None:
        """`limit`: a number, or what says it now."""
        self._limit, self.clock, self._until = limit, clock, OrderedDict()

    @property
    def limit(self) -> int:
        """Now."""
        return self._limit() if callable(self._limit) else self._limit

    def wait_s(self, key: str = "") -> int:
        """Whole seconds until this key may come; 0: now. Counts nothing."""
        if not self.limit:
            return 0
        now, one = self.clock(), PERIOD_S / self.limit
        # What rounding adds is no reason to wait.
        return max(0, ceil(max(self._until.get(key, now), now) + one - now - PERIOD_S - 1e-6))

    def count(self, key: str = "") -> None:
        """This key has come."""
        if not self.limit:
            return
        now = self.clock()
        self._until[key] = max(self._until.pop(key, now), now) + PERIOD_S / self.limit
        while len(self._until) > MOST_KEYS:
            self._until.popitem(last=False)

    def standing(self, key: str = "") -> Standing | None:
        """How this key stands; None: there is no limit. Counts nothing."""
        if not self.limit:
            return None
        used_s = max(0.0, self._until.get(key, 0.0) - self.clock())
        remaining = int((PERIOD_S - used_s) * self.limit / PERIOD_S + 1e-6)
        return Standing(self.limit, max(0, remaining), ceil(used_s - 1e-6))

    def __len__(self) -> int:
        return len(self._until)


def visitor(peer: str, forwarded: str, trusted: Collection[str]) -> str:
    """Who is counted as one: an IPv4 address, or the /64 of an IPv6 one, which is one household's or one machine's."""
    return _network(address_of(peer, forwarded, trusted))


def address_of(peer: str, forwarded: str, trusted: Collection[str]) -> str:
    """Whose request this is: an address, in its one form; `""` where it cannot be told.

    `peer` is the other end of the connection, `forwarded` the X-Forwarded-For it sent: each proxy adds at the end
    whom it heard, so that what a trusted one added is true, and what stands before may be anybody's invention.
    """
    hops = [_plain(one) for one in [*forwarded.split(","), peer] if one.strip()]
    known = {_plain(one) for one in trusted}
    seen = ""
    for hop in reversed(hops):
        if not hop:
            break
        seen = hop
        if hop not in known:
            break
    return seen


@lru_cache(maxsize=256)
def of_this_machine(address: str) -> bool:
    """Whether one of our own network interfaces has this address: only then can a socket be given it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as found:
        try:
            found.bind((address, 0))
        except OSError:
            return False
    return True


def _plain(text: str) -> str:
    """An address in its one form; an IPv4 address that came by an IPv6 socket is one; `""`: it is none.

    Some proxies write the port too.
    """
    match = _WITH_PORT.fullmatch(text.strip())
    try:
        found = ipaddress.ip_address(match["v4"] or match["v6"] if match else text.strip())
    except ValueError:
        return ""
    return str(getattr(found, "ipv4_mapped", None) or found)


def _network(address: str) -> str:
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
