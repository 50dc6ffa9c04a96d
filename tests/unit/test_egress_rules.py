"""The egress table and the rules that follow from it, as text. No kernel is asked here."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from launcher.operate.egress import rules
from launcher.operate.egress.rules import Side
from launcher.operate.egress.table import ClosedNetwork, Endpoint, Policy, TableWrong, read

if TYPE_CHECKING:
    from pathlib import Path

DNS = Endpoint(ipaddress.ip_address("10.0.0.53"), 53, "udp", "name server")
HUB = Endpoint(ipaddress.ip_address("172.30.0.1"), 8081, why="the hub")
SIDE = Side("rl-0badcafe", (HUB,))


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.17.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.192",
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104  # asked about, not listened on
        "255.255.255.255",
        "224.0.0.1",
        "::1",
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "fd00:ec2::254",
        "fe80::1",
        "2002:a00:1::1",
        "ff02::1",
    ],
)
def test_the_table_closes_what_is_not_the_public_internet(address: str) -> None:
    asked = ipaddress.ip_address(address)
    assert any(asked.version == one.network.version and asked in one.network for one in read().closed_networks)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::8.8.8.8"])
def test_the_table_leaves_the_public_internet_open(address: str) -> None:
    asked = ipaddress.ip_address(address)
    assert not any(asked.version == one.network.version and asked in one.network for one in read().closed_networks)


def test_mail_and_mining_ports_are_closed_and_web_ports_are_not() -> None:
    closed = {port for line in read().closed_ports for port in line.ports}
    assert {25, 465, 587, 3333, 14444} <= closed
    assert closed.isdisjoint({22, 53, 80, 443, 8080, 8443, 9418})


@pytest.mark.parametrize(
    "text, reason",
    [
        ("network = []", "there is no network; a table has networks and ports"),
        ('networks = [{ network = "10.0.0.1/8", why = "" }]', "10.0.0.1/8 has host bits set"),
        ('networks = ["10.0.0.0/8"]', "'10.0.0.0/8' is not of the form { network = …, why = … }"),
        ('ports = [{ ports = [70000], why = "" }]', "[70000] is no list of ports"),
        ('ports = [{ ports = [true], why = "" }]', "[True] is no list of ports"),
        ("networks = [", "it is not TOML"),
    ],
)
def test_a_wrong_table_is_a_sentence(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "egress.toml"
    path.write_text(text)
    with pytest.raises(TableWrong) as wrong:
        read(path)
    assert str(wrong.value).startswith(reason)


def test_what_comes_first_decides() -> None:
    opened = ipaddress.ip_network("10.1.0.0/16")
    policy = replace(read(), open_endpoints=(DNS,), open_networks=(opened,))
    for text in (
        rules.host_nft("a", policy, [SIDE]),
        rules.namespace_nft("a", policy),
        rules.host_iptables(4, "a", policy, [SIDE], ""),
        rules.namespace_iptables(4, "a", policy),
    ):
        order = ["10.0.0.53", "587", "10.1.0.0/16", "10.0.0.0/8"]
        outward = text[text.index("chain outward") :] if "chain" in text else text[text.index("-A RL-a-OUT") :]
        assert sorted(order, key=outward.index) == order


def test_only_the_hub_and_this_machines_servers_are_open_on_the_host() -> None:
    text = rules.host_nft("a", replace(read(), open_endpoints=(DNS,)), [SIDE])
    own = text[text.index("chain host_0") : text.index("chain forward")].splitlines()[3:-1]
    assert [line.strip() for line in own if "icmpv6" not in line and "}" not in line] == [
        'ip daddr 172.30.0.1 tcp dport 8081 accept comment "the hub"',
        'ip daddr 10.0.0.53 udp dport 53 accept comment "name server"',
        "jump refuse",
    ]


def test_a_comment_cannot_end_its_quotes() -> None:
    bad = ClosedNetwork(ipaddress.ip_network("10.0.0.0/8"), 'x"; accept; comment "\n y')
    assert 'comment "x; accept; comment  y"' in rules.namespace_nft("a", Policy((bad,), ()))


@pytest.mark.parametrize("name", ["", "a b", "a;", 'a"', "A" * 16])
def test_names_that_would_need_quotes_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        rules.namespace_nft(name, read())
    with pytest.raises(ValueError, match="is no interface"):
        Side(name or "a/b c")


def test_jumps_are_made_once_and_from_dockers_own_chain_where_there_is_one() -> None:
    docker = ":DOCKER-USER - [0:0]\n"
    first = rules.host_iptables(4, "a", read(), [SIDE], docker)
    jumps = [line for line in first.splitlines() if line.startswith("-I")]
    assert jumps == [
        "-I DOCKER-USER 1 -o rl-0badcafe -m conntrack --ctstate NEW -j RL-a-NO",
        "-I DOCKER-USER 1 -i rl-0badcafe -j RL-a-OUT",
        "-I INPUT 1 -i rl-0badcafe -j RL-a-HOST0",
    ]
    saved = docker + "\n".join(jump.replace("-I", "-A").replace(" 1 ", " ", 1) for jump in jumps)
    assert "-I " not in rules.host_iptables(4, "a", read(), [SIDE], saved)
    assert "-I FORWARD 1 -i rl-0badcafe -j RL-a-OUT" in rules.host_iptables(6, "a", read(), [SIDE], "")


def test_removal_takes_our_own_chains_only() -> None:
    saved = ":INPUT ACCEPT [0:0]\n:RL-a-OUT - [0:0]\n:RL-ab-OUT - [0:0]\n"
    saved += "-A INPUT -i x -j RL-a-OUT\n-A INPUT -i y -j RL-ab-OUT\n-A RL-a-OUT -j RETURN\n"
    assert (
        rules.iptables_removal("a", saved) == "*filter\n-D INPUT -i x -j RL-a-OUT\n-F RL-a-OUT\n-X RL-a-OUT\nCOMMIT\n"
    )
    assert rules.iptables_removal("b", saved) == ""
