"""The policy of one installation: the table, what its operator adds, and its machine's own servers."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.operate.egress import table
from launcher.operate.egress.table import ClosedNetwork, ClosedPorts, Endpoint, Network, Policy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.settings import Settings

OPERATOR = "the operator"


def policy(settings: Settings, own: Iterable[Endpoint] = ()) -> Policy:
    """The table, what the operator adds, and this machine's own servers. Raises TableWrong."""
    base = table.read(Path(settings.egress_table) if settings.egress_table else table.TABLE)
    networks = tuple(
        ClosedNetwork(ipaddress.ip_network(one, strict=False), OPERATOR) for one in settings.egress_closed_networks
    )
    ports = (ClosedPorts(tuple(settings.egress_closed_ports), OPERATOR),) if settings.egress_closed_ports else ()
    opened: list[Network] = []
    endpoints: list[Endpoint] = []
    for one in settings.egress_allowed_networks:
        host, _, port = one.rpartition(":")
        if port.isdigit() and (host.startswith("[") or "." in host):
            endpoints.append(Endpoint(ipaddress.ip_address(host.strip("[]")), int(port), "tcp", OPERATOR))
        else:
            opened.append(ipaddress.ip_network(one))
    return replace(
        base,
        closed_networks=(*base.closed_networks, *networks, *table.nat64(networks)),
        closed_ports=(*base.closed_ports, *ports),
        open_networks=tuple(opened),
        open_endpoints=tuple(dict.fromkeys((*endpoints, *own))),
    )
