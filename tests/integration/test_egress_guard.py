"""Who sets the egress rules, looks after them and removes them; on an interface of the test's own."""

from __future__ import annotations

import os
import secrets
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import docker
import pytest

from builders.nix.tool import NIX
from builders.sandbox import daemon
from builders.variables import NETWORK
from launcher.operate import build_engine, engine
from launcher.operate.egress import filter as packets
from launcher.operate.egress import note
from launcher.operate.egress.guard import Bridge, Guard
from launcher.operate.installation import InstallationError, free_port, open_installation
from launcher.settings import Settings
from tests.fixtures.netns import ip, listening, world
from tests.fixtures.nix import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builders.interface import Workshop
    from launcher.operate.installation import Installation
    from tests.fixtures.netns import Target
    from tests.fixtures.service import Service

pytestmark = pytest.mark.engine


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    """An interface that leads nowhere."""
    name = f"rl-{secrets.token_hex(4)}"
    ip("link", "add", name, "type", "bridge")
    yield Bridge(name, "10.200.0.1", 8081)
    ip("link", "delete", name)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    found = open_installation(tmp_path / "data")
    yield found
    subprocess.run(["nft", "delete", "table", "inet", f"repolaunch_{found.id}"], capture_output=True, check=False)


def nft(*words: str) -> None:
    subprocess.run(["nft", *words], check=True)


def table(identity: str) -> str:
    argv = ["nft", "-s", "list", "table", "inet", f"repolaunch_{identity}"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


async def test_rules_that_somebody_removed_are_set_again(installation: Installation, bridge: Bridge) -> None:
    guard = Guard(docker.from_env(), installation, Settings(), bridge)
    said = await guard.install()
    assert said == "Sessions reach no private network, no mail server and nothing of this machine (nftables)."
    whole = table(installation.id)
    assert bridge.interface in whole
    assert await guard.look()
    for damage in (
        ["delete", "table", "inet", f"repolaunch_{installation.id}"],
        ["flush", "chain", "inet", f"repolaunch_{installation.id}", "outward"],
        ["insert", "rule", "inet", f"repolaunch_{installation.id}", "outward", "accept"],
    ):
        nft(*damage)
        assert table(installation.id) != whole
        assert not await guard.look()
        assert table(installation.id) == whole
    await guard.remove()
    assert table(installation.id) == ""
    assert not note.read(installation.path("run")).ok


async def test_where_rules_cannot_be_set_nothing_starts(
    installation: Installation, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packets, "TOOLS_IMAGE", "localhost/repolaunch/no-such-image:1")
    monkeypatch.setenv("PATH", "/nowhere")
    guard = Guard(docker.from_env(), installation, Settings(), bridge)
    with pytest.raises(InstallationError) as failed:
        await guard.install()
    assert failed.value.sentence == (
        "The rules that close private networks to sessions could not be set (nftables (in a container): the image "
        "localhost/repolaunch/no-such-image:1 is missing; run `make setup`). Install nftables and start the service "
        'as root, or choose egress = "open" to let sessions reach everything.'
    )
    assert not note.read(installation.path("run")).ok


async def test_open_means_open(installation: Installation, bridge: Bridge) -> None:
    await Guard(docker.from_env(), installation, Settings(), bridge).install()
    guard = Guard(docker.from_env(), installation, Settings(egress="open"), bridge)
    said = await guard.install()
    assert said == "Sessions reach whatever this machine reaches, as the setting egress says."
    assert table(installation.id) == ""
    assert await guard.look()


async def test_rules_that_cannot_be_set_again_stop_new_sessions(
    installation: Installation, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = Guard(docker.from_env(), installation, Settings(), bridge)
    await guard.install()
    assert note.read(installation.path("run")).ok
    nft("delete", "table", "inet", f"repolaunch_{installation.id}")
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", "/nowhere")
    assert not await guard.look()
    assert not note.read(installation.path("run")).ok
    monkeypatch.setenv("PATH", path)
    assert not await guard.look()
    assert note.read(installation.path("run")).ok
    await guard.remove()


CLOSED: dict[str, Target] = {
    "private": ("10.9.9.9", 443, "tcp"),
    "metadata": ("169.254.169.254", 80, "tcp"),
    "mail": ("198.51.100.7", 25, "tcp"),
}
PUBLIC: Target = ("198.51.100.7", 443, "tcp")
HERE, THERE = "198.18.252.1", "198.18.252.2"
REACH = 'for at; do timeout 10 bash -c "</dev/tcp/$at" && echo open || echo closed; done'


async def test_what_nix_and_guix_fetch_on_the_engine_of_the_sessions_goes_through_the_table(
    installation: Installation, bridge: Bridge, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `build_engine = "shared"` has it. The world is a stand-in: only what this network sends on goes there."""
    client = docker.from_env()
    interface = engine.ensure_fetching(client, installation)
    network = client.networks.get(installation.fetching)
    monkeypatch.setenv(NETWORK, build_engine.told(None, installation)[NETWORK])
    guard = Guard(client, installation, Settings(), replace(bridge, others=(interface,)))
    gateway, port = str(network.attrs["IPAM"]["Config"][0]["Gateway"]).partition("/")[0], free_port()
    targets = [*CLOSED.values(), (gateway, port, "tcp"), PUBLIC]
    argv = ("bash", "-c", REACH, "bash", *(f"{address}/{number}" for address, number, _ in targets))
    try:
        with world(interface, HERE, THERE, *CLOSED.values(), PUBLIC), listening((gateway, port, "tcp")):
            await guard.install()
            async with daemon(NIX, workshop, network=True) as of:
                _, said = await say(of, *argv, network=True)
                assert [line for line in said.splitlines() if line in {"open", "closed"}] == ["closed"] * 4 + ["open"]
                await guard.remove()
                _, said = await say(of, *argv, network=True)
                assert [line for line in said.splitlines() if line in {"open", "closed"}] == ["open"] * 5
    finally:
        network.remove()


def test_rules_outlive_a_killed_service_and_go_with_one_that_stops(own_service: Service) -> None:
    own_service.start()
    whole = table(own_service.id)
    assert f"rl-{own_service.id}" in whole
    assert own_service.process is not None
    own_service.process.kill()
    own_service.stop()  # closes what was left open; there is nobody to stop
    assert table(own_service.id) == whole
    own_service.start()
    assert table(own_service.id) == whole
    own_service.stop()
    assert table(own_service.id) == ""
