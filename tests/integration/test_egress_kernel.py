"""The egress rules in a kernel: three network namespaces (a session, its host, the world), with nftables and iptables.

Every address that is closed is carried by the world's namespace; nothing leaves this machine.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import pytest

from launcher.operate.egress import rules
from launcher.operate.egress.filter import Iptables, Nftables
from launcher.operate.egress.rules import Side
from launcher.operate.egress.table import Endpoint, read
from tests.fixtures.netns import join, namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.operate.egress.filter import PacketFilter
    from launcher.operate.egress.table import Policy
    from tests.fixtures.netns import Namespace, Target

CLOSED: tuple[tuple[str, Target], ...] = (
    ("10.0.0.0/8", ("10.9.9.9", 443, "tcp")),
    ("10.0.0.0/8", ("10.9.9.9", 5353, "udp")),
    ("172.16.0.0/12", ("172.20.9.9", 443, "tcp")),
    ("192.168.0.0/16", ("192.168.9.9", 443, "tcp")),
    ("100.64.0.0/10", ("100.64.9.9", 443, "tcp")),
    ("169.254.0.0/16", ("169.254.169.254", 80, "tcp")),
    ("168.63.129.16/32", ("168.63.129.16", 80, "tcp")),
    ("fc00::/7", ("fd00:ec2::254", 80, "tcp")),
    ("64:ff9b::a9fe:0/112", ("64:ff9b::a9fe:a9fe", 80, "tcp")),
    ("mail", ("198.51.100.7", 25, "tcp")),
    ("mail", ("2001:db8:7::7", 587, "tcp")),
    ("mining", ("198.51.100.7", 3333, "tcp")),
)
OPEN: tuple[Target, ...] = (
    ("198.51.100.7", 443, "tcp"),
    ("198.51.100.7", 53, "udp"),
    ("2001:db8:7::7", 443, "tcp"),
    ("10.9.9.53", 53, "udp"),  # this machine's name server, on a private address
)
DNS = Endpoint(ipaddress.ip_address("10.9.9.53"), 53, "udp", "name server")
HUB = ("10.200.0.1", 8081, "tcp")
OTHERS: tuple[Target, ...] = (
    ("10.200.0.1", 22, "tcp"),
    ("198.51.100.1", 8081, "tcp"),  # the hub's port, on another address of the host
    ("198.51.100.1", 5432, "tcp"),
    ("fd00:200::1", 22, "tcp"),
)
SIDE = Side("rl-0", (Endpoint(ipaddress.ip_address(HUB[0]), HUB[1], "tcp", "the hub"),))


@dataclass(frozen=True)
class Three:
    """Who is where."""

    session: Namespace
    host: Namespace
    world: Namespace

    def filter(self, kind: str) -> PacketFilter:
        if kind == "nftables":
            return Nftables("test", self.host.run)
        return Iptables("test", self.host.run)


@pytest.fixture(scope="module")
def three() -> Iterator[Three]:
    with namespace("s") as session, namespace("h") as host, namespace("w") as world:
        join(host, "rl-0", session, "eth0")
        join(host, "out", world, "eth0")
        for here, device, *addresses in (
            (session, "eth0", "10.200.0.2/24", "fd00:200::2/64"),
            (host, "rl-0", "10.200.0.1/24", "fd00:200::1/64"),
            (host, "out", "198.51.100.1/24", "2001:db8::1/64"),
            (world, "eth0", "198.51.100.254/24", "2001:db8::fe/64"),
        ):
            for address in addresses:
                here.ip("address", "add", address, "dev", device, *(("nodad",) if ":" in address else ()))
        for here, there, there6 in (
            (session, "10.200.0.1", "fd00:200::1"),
            (host, "198.51.100.254", "2001:db8::fe"),
            (world, "198.51.100.1", "2001:db8::1"),
        ):
            here.ip("route", "add", "default", "via", there)
            here.ip("-6", "route", "add", "default", "via", there6)
        host.sysctl("net/ipv4/ip_forward", 1)
        host.sysctl("net/ipv6/conf/all/forwarding", 1)
        wanted = [target for _, target in CLOSED] + list(OPEN)
        for address in dict.fromkeys(target[0] for target in wanted):
            world.ip("address", "add", address, "dev", "lo", *(("nodad",) if ":" in address else ()))
        with world.listening(*wanted), host.listening(HUB, *OTHERS):
            yield Three(session, host, world)


def _policy() -> Policy:
    return replace(read(), open_endpoints=(DNS,))


def _without(policy: Policy, line: str) -> Policy:
    return replace(
        policy,
        closed_networks=tuple(one for one in policy.closed_networks if str(one.network) != line),
        closed_ports=tuple(one for one in policy.closed_ports if one.why != line),
    )


@pytest.mark.parametrize("kind", ["nftables", "iptables"])
def test_what_the_table_closes_is_refused_at_once_and_all_else_is_open(three: Three, kind: str) -> None:
    asked = [target for _, target in CLOSED] + list(OTHERS)
    packets = three.filter(kind)
    assert packets.state() == ""
    # Without the rules everything is reached: what is refused below is refused by them.
    assert set(three.session.reach(*asked, HUB, *OPEN)) == {"open"}
    packets.install(_policy(), [SIDE])
    try:
        refused = three.session.reach(*asked)
        assert {"open", "silence"}.isdisjoint(refused), str(dict(zip(asked, refused, strict=True)))
        assert three.session.reach(HUB, *OPEN) == ["open"] * (1 + len(OPEN))
    finally:
        packets.remove()
    assert packets.state() == ""
    assert set(three.session.reach(*asked)) == {"open"}


@pytest.mark.parametrize("kind", ["nftables", "iptables"])
@pytest.mark.parametrize("line", [*dict.fromkeys(line for line, _ in CLOSED)])
def test_each_line_closes_what_it_says(three: Three, kind: str, line: str) -> None:
    packets = three.filter(kind)
    packets.install(_without(_policy(), line), [SIDE])
    try:
        found = three.session.reach(*(target for _, target in CLOSED))
        opened = [closed_by for (closed_by, _), what in zip(CLOSED, found, strict=True) if what == "open"]
        assert opened == [closed_by for closed_by, _ in CLOSED if closed_by == line]
    finally:
        packets.remove()


@pytest.mark.parametrize("kind", ["nftables", "iptables"])
def test_rules_are_replaced_not_doubled_and_removed_without_a_trace(three: Three, kind: str) -> None:
    packets = three.filter(kind)
    before = _all(three.host)
    packets.install(_policy(), [SIDE])
    once = packets.state()
    packets.install(_policy(), [SIDE])  # as after a kill -9
    assert packets.state() == once
    # Somebody else's rules are left alone.
    three.host.run(("iptables", "-A", "INPUT", "-p", "sctp", "-j", "ACCEPT"))
    packets.remove()
    packets.remove()
    assert packets.state() == ""
    assert "-A INPUT -p sctp -j ACCEPT" in _all(three.host)
    three.host.run(("iptables", "-D", "INPUT", "-p", "sctp", "-j", "ACCEPT"))
    assert _all(three.host) == before


def test_dockers_flush_of_its_own_chains_does_not_open_anything(three: Three) -> None:
    """An engine that starts again makes its chains anew: nftables' table of ours stays."""
    packets = three.filter("nftables")
    packets.install(_policy(), [SIDE])
    try:
        three.host.run(("iptables", "-F"))
        three.host.run(("iptables", "-I", "FORWARD", "-j", "ACCEPT"))
        assert three.session.reach(CLOSED[0][1]) != ["open"]
    finally:
        packets.remove()
        three.host.run(("iptables", "-F"))


def test_iptables_that_lost_its_jumps_is_seen_and_mended(three: Three) -> None:
    packets = three.filter("iptables")
    packets.install(_policy(), [SIDE])
    try:
        whole = packets.state()
        three.host.run(("iptables", "-F", "FORWARD"))
        assert packets.state() != whole
        assert three.session.reach(CLOSED[0][1]) == ["open"]
        packets.install(_policy(), [SIDE])
        assert packets.state() == whole
        assert three.session.reach(CLOSED[0][1]) != ["open"]
    finally:
        packets.remove()


def test_nobody_calls_a_session_from_outside(three: Three) -> None:
    target: Target = ("10.200.0.2", 8888, "tcp")
    with three.session.listening(target):
        assert three.world.reach(target) == ["open"]
        assert three.host.reach(target) == ["open"]
        packets = three.filter("nftables")
        packets.install(_policy(), [SIDE])
        try:
            assert three.world.reach(target) != ["open"]
            assert three.host.reach(target) == ["open"]  # the proxy does
        finally:
            packets.remove()


@pytest.mark.parametrize("kind", ["nftables", "iptables"])
def test_a_namespace_of_strangers_reaches_no_more(three: Three, kind: str) -> None:
    """The build engine's container: what leaves from itself. Its loopback is its own."""
    asked = [target for _, target in CLOSED]
    assert set(three.session.reach(*asked)) == {"open"}
    _install_in(three.session, kind)
    try:
        refused = three.session.reach(*asked)
        assert {"open", "silence"}.isdisjoint(refused), str(dict(zip(asked, refused, strict=True)))
        own: Target = ("127.0.0.1", 8888, "tcp")
        with three.session.listening(own):
            # The registry, say, is opened beside the table.
            assert three.session.reach(own, HUB, *OPEN) == ["open"] * (2 + len(OPEN))
    finally:
        if kind == "nftables":
            Nftables("test", three.session.run).remove()
        else:
            Iptables("test", three.session.run).remove()


def _install_in(space: Namespace, kind: str) -> None:
    opened = SIDE.open_on_host
    if kind == "nftables":
        space.run(("nft", "-f", "-"), rules.namespace_nft("test", _policy(), opened))
        return
    for version, prefix in ((4, "iptables"), (6, "ip6tables")):
        text = rules.namespace_iptables(cast("rules.Version", version), "test", _policy(), opened)
        space.run((f"{prefix}-restore", "--noflush"), text)


def _all(space: Namespace) -> str:
    tables = "".join(line for line in space.run(("nft", "list", "tables", "inet")).splitlines(keepends=True))
    return tables + space.run(("iptables", "-S")) + space.run(("ip6tables", "-S"))
