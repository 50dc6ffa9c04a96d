"""What the operator and the machine add to the egress table."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest

from launcher.operate.egress import machine, note
from launcher.operate.egress.policy import policy
from launcher.operate.egress.table import ClosedNetwork, ClosedPorts, Endpoint, read
from launcher.settings import Settings, SettingWrong, load

if TYPE_CHECKING:
    from pathlib import Path


def test_the_operator_opens_networks_and_single_servers() -> None:
    chosen = Settings(egress_allowed_networks=("10.1.0.0/16", "10.2.0.5:25", "[fd00::5]:5432", "fd00:7::/48"))
    found = policy(chosen)
    assert [str(one) for one in found.open_networks] == ["10.1.0.0/16", "fd00:7::/48"]
    assert [(str(one.address), one.port) for one in found.open_endpoints] == [("10.2.0.5", 25), ("fd00::5", 5432)]


def test_the_operator_closes_more() -> None:
    found = policy(Settings(egress_closed_networks=("198.51.100.0/24",), egress_closed_ports=(6667,)))
    assert ClosedNetwork(ipaddress.ip_network("198.51.100.0/24"), "the operator") in found.closed_networks
    assert str(found.closed_networks[-1].network) == "64:ff9b::c633:6400/120"
    assert found.closed_ports[-1] == ClosedPorts((6667,), "the operator")
    assert found.closed_ports[:-1] == read().closed_ports


def test_another_table_takes_the_place_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('networks = [{ network = "198.51.100.0/24", why = "ours" }]')
    found = policy(Settings(egress_table=str(path)))
    assert [str(one.network) for one in found.closed_networks] == ["198.51.100.0/24", "64:ff9b::c633:6400/120"]
    assert found.closed_ports == ()


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("EGRESS", "shut", "input should be 'filtered' or 'open'"),
        ("EGRESS_ALLOWED_NETWORKS", "10.1.0.1/16", "10.1.0.1/16 has host bits set"),
        ("EGRESS_ALLOWED_NETWORKS", "10.1.0.1:0", "'10.1.0.1:0' is not an address and a port"),
        ("EGRESS_CLOSED_PORTS", "25,70000", "70000 is no port"),
        ("EGRESS_CLOSED_NETWORKS", "home", "'home' does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_wrong_settings_are_sentences(name: str, value: str, reason: str) -> None:
    with pytest.raises(SettingWrong) as wrong:
        load(environ={f"REPOLAUNCH_{name}": value})
    assert wrong.value.name == name.lower()
    assert wrong.value.reason == reason


def test_name_servers_that_a_container_can_reach() -> None:
    text = "# x\nnameserver 127.0.0.53\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\nnameserver fd00::53\nsearch a\n"
    assert [str(one) for one in machine.nameservers(text)] == ["10.0.0.53", "fe80::1", "fd00::53"]


def test_proxies_of_the_environment_are_found() -> None:
    found = machine.endpoints({"https_proxy": "http://someone:secret@192.168.3.4:3128", "HTTP_PROXY": "192.168.3.5:1"})
    assert Endpoint(ipaddress.ip_address("192.168.3.4"), 3128) in found
    assert Endpoint(ipaddress.ip_address("192.168.3.5"), 1) in found
    assert "secret" not in repr(found)


def test_a_note_that_is_not_there_or_damaged_says_no(tmp_path: Path) -> None:
    assert not note.read(tmp_path).ok
    note.write(tmp_path, note.Note(ok=True, seen="nftables"))
    assert note.read(tmp_path) == note.Note(ok=True, seen="nftables")
    (tmp_path / note.NAME).write_text('{"ok": "yes"')
    assert not note.read(tmp_path).ok
