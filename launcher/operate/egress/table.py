"""The egress table (deploy/egress/egress.toml), read once into types that cannot be wrong."""

from __future__ import annotations

import ipaddress
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

TABLE = Path(__file__).parents[3] / "deploy" / "egress" / "egress.toml"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Protocol = Literal["tcp", "udp"]
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
LAST_PORT = 2**16 - 1


class TableWrong(ValueError):
    """The table cannot be read; the text says which line and why."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One port of one address, and why it is open."""

    address: Address
    port: int
    protocol: Protocol = "tcp"
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ClosedNetwork:
    """A network that strangers' code does not reach."""

    network: Network
    why: str


@dataclass(frozen=True, slots=True)
class ClosedPorts:
    """Ports (TCP and UDP) that strangers' code does not reach, wherever they lead."""

    ports: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Policy:
    """All that is open and closed. Open endpoints come first, then closed ports, open networks, closed networks."""

    closed_networks: tuple[ClosedNetwork, ...]
    closed_ports: tuple[ClosedPorts, ...]
    open_networks: tuple[Network, ...] = ()
    open_endpoints: tuple[Endpoint, ...] = ()


def read(path: Path = TABLE) -> Policy:
    """The table of a file. Raises TableWrong."""
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
        if unknown := sorted(found.keys() - {"networks", "ports"}):
            raise TableWrong(f"there is no {unknown[0]}; a table has networks and ports")
        networks = tuple(_network(line) for line in found.get("networks", ()))
        return Policy(networks + tuple(nat64(networks)), tuple(_ports(line) for line in found.get("ports", ())))
    except OSError as error:
        raise TableWrong(f"the file cannot be read ({error.strerror})") from None
    except tomllib.TOMLDecodeError as error:
        raise TableWrong(f"it is not TOML ({error})") from None


def nat64(closed: tuple[ClosedNetwork, ...]) -> list[ClosedNetwork]:
    """The IPv4 networks as a NAT64 gateway (RFC 6052) reaches them."""
    return [
        ClosedNetwork(
            ipaddress.IPv6Network((int(NAT64.network_address) | int(one.network.network_address), 96 + prefix)),
            f"{one.why} (NAT64)",
        )
        for one in closed
        if isinstance(one.network, ipaddress.IPv4Network)
        for prefix in (one.network.prefixlen,)
    ]


def _network(line: object) -> ClosedNetwork:
    if not isinstance(line, dict) or line.keys() != {"network", "why"}:
        raise TableWrong(f"{line!r} is not of the form {{ network = …, why = … }}")
    try:
        return ClosedNetwork(ipaddress.ip_network(str(line["network"])), str(line["why"]))
    except ValueError as error:
        raise TableWrong(str(error)) from None


def _ports(line: object) -> ClosedPorts:
    if not isinstance(line, dict) or line.keys() != {"ports", "why"}:
        raise TableWrong(f"{line!r} is not of the form {{ ports = […], why = … }}")
    ports = line["ports"]
    if not isinstance(ports, list) or not ports or not all(type(one) is int and 0 < one <= LAST_PORT for one in ports):
        raise TableWrong(f"{ports!r} is no list of ports")
    return ClosedPorts(tuple(ports), str(line["why"]))
