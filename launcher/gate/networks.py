"""Which of an operator's networks an address is in, however many there are: one look-up for each length of a prefix."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Networks:
    """Networks with labels. The narrowest one that holds an address counts."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        """`labels`: network, as `ipaddress` reads it → label."""
        self._known: dict[tuple[int, int], dict[int, str]] = {}
        for text, label in labels.items():
            network = ipaddress.ip_network(text)
            bits = network.max_prefixlen - network.prefixlen
            here = self._known.setdefault((network.version, bits), {})
            here[int(network.network_address) >> bits] = label
        self._order = sorted(self._known, key=lambda one: one[1])

    def label(self, address: str) -> str | None:
        """The label of the network that this address is in; None: of none, or it is no address."""
        if not self._order:
            return None
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return None
        for version, bits in self._order:
            label = self._known[version, bits].get(int(found) >> bits) if version == found.version else None
            if label is not None:
                return label
        return None
