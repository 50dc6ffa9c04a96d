"""The packet filter's rules that follow from a policy, as text: for `nft -f` and for `iptables-restore --noflush`.

Two places have strangers' code. On the host it comes over a bridge (`Side`): what it sends on is filtered, and the
host's own ports are closed. In a network namespace of its own (the build engine's container) everything that leaves,
from the namespace itself or forwarded, is filtered. What is closed is refused at once: nobody waits for a time-out.

Each text replaces what was there under the same name, at once (nft) or chain by chain (iptables); nothing else is
touched. Pure functions: nothing here runs anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from launcher.operate.egress.table import Endpoint, Policy

Version = Literal[4, 6]
NAME = re.compile(r"[a-z0-9]{1,12}")
INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
BEFORE_DOCKER = -10
"""Of nftables' priorities `filter` is 0. What is refused in any chain is refused, whatever the others say."""
PORTS_AT_ONCE = 15
"""As many as iptables' multiport takes."""


@dataclass(frozen=True, slots=True)
class Side:
    """A bridge of the host with strangers on it, and the ports of the host that are open to them."""

    interface: str
    open_on_host: tuple[Endpoint, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot be an interface's name."""
        if not INTERFACE.fullmatch(self.interface):
            raise ValueError(f"{self.interface!r} is no interface")


def nft_name(name: str) -> str:
    """The table's name. Raises ValueError for a name that would need quoting."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name")
    return f"repolaunch_{name}"


def host_nft(name: str, policy: Policy, sides: Iterable[Side]) -> str:
    """The rules of the host for `nft -f -`."""
    forward, entry, own = [], [], []
    for number, side in enumerate(sides):
        # From elsewhere, or from a neighbour on the same bridge: only answers come in.
        forward += [f'oifname "{side.interface}" ct state new jump refuse comment "nobody calls a session"']
        forward += [f'iifname "{side.interface}" jump outward']
        entry += [f'iifname "{side.interface}" jump host_{number}']
        own += [_chain(f"host_{number}", [*_known(), *map(_nft_endpoint, _opened(policy, side)), _ND, "jump refuse"])]
    hooks = [_base("forward", "forward", forward), _base("input", "input", entry)]
    return _table(name, [_REFUSE, _chain("outward", _outward(policy)), *own, *hooks])


def namespace_nft(name: str, policy: Policy, opened: Iterable[Endpoint] = ()) -> str:
    """The rules of a network namespace of strangers for `nft -f -`; `opened` are more endpoints, a registry's, say."""
    hooks = [
        _base("forward", "forward", ["jump outward"]),
        _base("output", "output", ['oifname "lo" accept', "jump outward"]),
    ]
    return _table(name, [_REFUSE, _chain("outward", _outward(policy, opened)), *hooks])


def nft_removal(name: str) -> str:
    """Removes the table; no error if there is none."""
    return f"table inet {nft_name(name)}\ndelete table inet {nft_name(name)}\n"


def iptables_chains(name: str) -> tuple[str, str, str]:
    """The chains' names: what is sent on, what is sent to the host, what is refused."""
    nft_name(name)
    return f"RL-{name}-OUT", f"RL-{name}-HOST", f"RL-{name}-NO"


def host_iptables(version: Version, name: str, policy: Policy, sides: Iterable[Side], saved: str) -> str:
    """The rules of the host for `iptables-restore --noflush` (`ip6tables-restore` for version 6).

    `saved` is what `iptables-save -t filter` says now: chains that Docker has made are used, jumps are never doubled.
    """
    out, host, no = iptables_chains(name)
    hook = "DOCKER-USER" if ":DOCKER-USER " in saved else "FORWARD"
    chains, rules, jumps = [], [], []
    for number, side in enumerate(sides):
        here = f"{host}{number}"
        chains.append(here)
        opened = [_ipt_endpoint(one) for one in _opened(policy, side) if one.address.version == version]
        rules += [f"-A {here} {rule}" for rule in (*_ipt_known(), *opened, *_IPT_ND[version], f"-j {no}")]
        jumps += [
            f"INPUT -i {side.interface} -j {here}",
            f"{hook} -i {side.interface} -j {out}",
            f"{hook} -o {side.interface} -m conntrack --ctstate NEW -j {no}",
        ]
    rules += [f"-A {out} {rule}" for rule in _ipt_outward(version, policy, no)]
    return _restore([out, no, *chains], rules + _ipt_refuse(version, no), _missing(jumps, saved))


def namespace_iptables(
    version: Version, name: str, policy: Policy, opened: Iterable[Endpoint] = (), saved: str = ""
) -> str:
    """The rules of a network namespace of strangers for `iptables-restore --noflush`."""
    out, _, no = iptables_chains(name)
    rules = [f"-A {out} {rule}" for rule in _ipt_outward(version, policy, no, opened)]
    jumps = [f"OUTPUT ! -o lo -j {out}", f"FORWARD -j {out}"]
    return _restore([out, no], rules + _ipt_refuse(version, no), _missing(jumps, saved))


def iptables_removal(name: str, saved: str) -> str:
    """Removes the chains and the jumps to them that `iptables-save -t filter` shows; `""` if there is nothing."""
    prefix = f"RL-{name}-"
    lines = saved.splitlines()
    chains = [line[1:].split()[0] for line in lines if line.startswith(f":{prefix}")]
    jumps = [line for line in lines if f"-j {prefix}" in line and not line.startswith(f"-A {prefix}")]
    if not chains:
        return ""
    text = [f"-D {line.removeprefix('-A ')}" for line in jumps]
    text += [f"-F {chain}" for chain in chains] + [f"-X {chain}" for chain in chains]
    return "\n".join(["*filter", *text, "COMMIT", ""])


# ---------------------------------------------------------------------------------------------------- nftables
_REFUSE = """    chain refuse {
        meta l4proto tcp counter reject with tcp reset
        counter reject with icmpx type admin-prohibited
    }
"""
_ND = 'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } accept comment "IPv6 finds its way"'


def _opened(policy: Policy, side: Side) -> tuple[Endpoint, ...]:
    return (*side.open_on_host, *policy.open_endpoints)


def _known() -> tuple[str, ...]:
    return ("ct state established,related accept", "ct state invalid drop")


def _outward(policy: Policy, more: Iterable[Endpoint] = ()) -> list[str]:
    rules = [*_known(), *(_nft_endpoint(one) for one in (*more, *policy.open_endpoints))]
    for closed in policy.closed_ports:
        ports = ", ".join(map(str, closed.ports))
        rules.append(f"meta l4proto {{ tcp, udp }} th dport {{ {ports} }} jump refuse {_comment(closed.why)}")
    rules += [f"{_family(one.version)} daddr {one} accept" for one in policy.open_networks]
    for network in policy.closed_networks:
        where = f"{_family(network.network.version)} daddr {network.network}"
        rules.append(f"{where} jump refuse {_comment(network.why)}")
    return rules


def _nft_endpoint(one: Endpoint) -> str:
    where = f"{_family(one.address.version)} daddr {one.address} {one.protocol} dport {one.port}"
    return f"{where} accept {_comment(one.why)}".rstrip()


def _family(version: int) -> str:
    return "ip" if version == 4 else "ip6"  # noqa: PLR2004  # IPv4


def _comment(why: str) -> str:
    """A comment may come from an operator's table: nothing of it ends the quotes."""
    kept = re.sub(r"[^\w .,;:()'/-]", "", why, flags=re.ASCII)[:100]
    return f'comment "{kept}"' if kept else ""


def _chain(name: str, rules: Iterable[str]) -> str:
    return f"    chain {name} {{\n" + "".join(f"        {rule}\n" for rule in rules) + "    }\n"


def _base(name: str, hook: str, rules: list[str]) -> str:
    return _chain(name, [f"type filter hook {hook} priority {BEFORE_DOCKER}; policy accept;", *rules])


def _table(name: str, chains: Iterable[str]) -> str:
    return nft_removal(name) + f"table inet {nft_name(name)} {{\n" + "".join(chains) + "}\n"


# ---------------------------------------------------------------------------------------------------- iptables
_IPT_ND = {4: (), 6: tuple(f"-p ipv6-icmp --icmpv6-type {kind} -j RETURN" for kind in (133, 135, 136))}


def _ipt_known() -> tuple[str, ...]:
    return ("-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN", "-m conntrack --ctstate INVALID -j DROP")


def _ipt_outward(version: Version, policy: Policy, no: str, more: Iterable[Endpoint] = ()) -> list[str]:
    rules = [_ipt_endpoint(one) for one in (*more, *policy.open_endpoints) if one.address.version == version]
    for closed in policy.closed_ports:
        for ports in _portions(closed.ports):
            rules += [f"-p {protocol} -m multiport --dports {ports} -j {no}" for protocol in ("tcp", "udp")]
    rules += [f"-d {one} -j RETURN" for one in policy.open_networks if one.version == version]
    rules += [f"-d {one.network} -j {no}" for one in policy.closed_networks if one.network.version == version]
    return [*_ipt_known(), *rules]


def _portions(ports: tuple[int, ...]) -> Iterator[str]:
    for start in range(0, len(ports), PORTS_AT_ONCE):
        yield ",".join(map(str, ports[start : start + PORTS_AT_ONCE]))


def _ipt_endpoint(one: Endpoint) -> str:
    return f"-d {one.address} -p {one.protocol} --dport {one.port} -j RETURN"


def _ipt_refuse(version: Version, no: str) -> list[str]:
    reason = "icmp-admin-prohibited" if version == 4 else "icmp6-adm-prohibited"  # noqa: PLR2004  # IPv4
    return [f"-A {no} -p tcp -j REJECT --reject-with tcp-reset", f"-A {no} -j REJECT --reject-with {reason}"]


def _missing(jumps: list[str], saved: str) -> list[str]:
    """Inserted at the top, in reverse, so that the first one is the first."""
    have = {line.removeprefix("-A ").strip() for line in saved.splitlines() if line.startswith("-A ")}
    return [f"-I {jump.replace(' ', ' 1 ', 1)}" for jump in reversed(jumps) if jump not in have]


def _restore(chains: list[str], rules: list[str], jumps: list[str]) -> str:
    """With --noflush a declared chain of one's own is made, or emptied if it is there; all others stay."""
    return "\n".join(["*filter", *(f":{chain} - [0:0]" for chain in chains), *rules, *jumps, "COMMIT", ""])
