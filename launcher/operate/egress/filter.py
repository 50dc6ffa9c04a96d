"""The packet filter of this machine: nftables where it can be used, iptables where not. Blocks: call it in a thread.

Whose network namespace is it? The sessions' bridge is in the one of the container engine. Where this process is root
and sees the bridge, it sets the rules itself; else (an ordinary user, a container) a short container does, with the
host's network and the one capability that this needs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import docker.errors
import requests.exceptions

from launcher.operate.egress import rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docker import DockerClient

    from launcher.operate.egress.rules import Side
    from launcher.operate.egress.table import Policy

TOOLS_IMAGE = "localhost/repolaunch/build-engine:1"
"""It has nft; made by `make setup`."""
RUN_S = 60
FOREIGN = (docker.errors.DockerException, requests.exceptions.RequestException)
Run = Callable[[tuple[str, ...], str], str]
"""A program and what it reads; what it said. Raises FilterError."""


@dataclass(eq=False)
class FilterError(Exception):
    """The packet filter cannot be used; `reason` is what it said."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class PacketFilter(Protocol):
    """Sets, shows and removes the rules of one installation."""

    @property
    def name(self) -> str:
        """What it is called, for people."""
        ...

    def install(self, policy: Policy, sides: Iterable[Side]) -> None:
        """Replace the rules of this installation. Raises FilterError."""
        ...

    def state(self) -> str:
        """The rules as the kernel has them, without counters; `""` if there are none. Raises FilterError."""
        ...

    def remove(self) -> None:
        """Remove them; no error if there are none. Raises FilterError."""
        ...


def run_here(argv: tuple[str, ...], given: str) -> str:
    """Run a program of this machine. Raises FilterError."""
    try:
        done = subprocess.run(argv, input=given, capture_output=True, text=True, timeout=RUN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FilterError(f"{argv[0]} could not be run ({error})") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"{argv[0]} ended with status {done.returncode}"]
        raise FilterError(lines[0][:300])
    return done.stdout


@dataclass(frozen=True)
class InContainer:
    """Runs a program of the tools' image in the network namespace of the container engine's machine."""

    client: DockerClient
    installation: str

    def __call__(self, argv: tuple[str, ...], given: str) -> str:
        """Raises FilterError."""
        try:
            self.client.images.get(TOOLS_IMAGE)  # `run` would try to fetch one that is missing
            said = self.client.containers.run(
                TOOLS_IMAGE,
                # The rules travel as an environment variable: a container that is not attached has no input.
                ["-c", 'printf %s "$RULES" | "$@"', "sh", *argv],
                entrypoint=["/bin/sh"],
                environment={"RULES": given},
                user="0:0",
                network_mode="host",
                cap_drop=["ALL"],
                cap_add=["NET_ADMIN"],
                security_opt=["no-new-privileges:true"],
                read_only=True,
                remove=True,
                labels={"repolaunch.installation": self.installation, "repolaunch.kind": "egress"},
            )
        except docker.errors.ContainerError as error:
            raise FilterError(_first_line(error.stderr)) from None
        except docker.errors.ImageNotFound:
            raise FilterError(f"the image {TOOLS_IMAGE} is missing; run `make setup`") from None
        except FOREIGN as error:
            raise FilterError(f"its container could not be run ({str(error).splitlines()[0][:200]})") from None
        return bytes(said).decode(errors="replace")


def _first_line(said: object) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said or "")
    lines = text.strip().splitlines()
    return lines[0][:300] if lines else "it failed in its container"


@dataclass(frozen=True)
class Nftables:
    """One table of our own, replaced and removed at one stroke; the container engine never touches it."""

    installation: str
    run: Run
    name: str = "nftables"

    def install(self, policy: Policy, sides: Iterable[Side]) -> None:
        """See PacketFilter."""
        self.run(("nft", "-f", "-"), rules.host_nft(self.installation, policy, sides))

    def state(self) -> str:
        """See PacketFilter."""
        table = rules.nft_name(self.installation)
        if f"table inet {table}\n" not in self.run(("nft", "list", "tables", "inet"), ""):
            return ""
        return self.run(("nft", "-s", "list", "table", "inet", table), "")

    def remove(self) -> None:
        """See PacketFilter."""
        self.run(("nft", "-f", "-"), rules.nft_removal(self.installation))


@dataclass(frozen=True)
class Iptables:
    """Chains of our own, entered from INPUT and from the chain that Docker leaves to its users."""

    installation: str
    run: Run
    name: str = "iptables"

    def install(self, policy: Policy, sides: Iterable[Side]) -> None:
        """See PacketFilter."""
        kept = tuple(sides)
        for version, prefix in self._families():
            saved = self._saved(prefix)
            text = rules.host_iptables(version, self.installation, policy, kept, saved)
            self.run((f"{prefix}-restore", "--noflush"), text)

    def state(self) -> str:
        """See PacketFilter."""
        mark = f"RL-{self.installation}-"
        saved = [line for _, prefix in self._families() for line in self._saved(prefix).splitlines()]
        return "\n".join(line.partition(" [")[0] for line in saved if mark in line)

    def remove(self) -> None:
        """See PacketFilter."""
        for _, prefix in self._families():
            text = rules.iptables_removal(self.installation, self._saved(prefix))
            if text:
                self.run((f"{prefix}-restore", "--noflush"), text)

    def _saved(self, prefix: str) -> str:
        return self.run((f"{prefix}-save", "-t", "filter"), "")

    @staticmethod
    def _families() -> tuple[tuple[Literal[4, 6], str], ...]:
        ipv4: tuple[Literal[4, 6], str] = (4, "iptables")
        return (ipv4, (6, "ip6tables")) if Path("/proc/net/if_inet6").exists() else (ipv4,)


def choose(client: DockerClient, installation: str, bridge: str) -> PacketFilter:
    """The first that can be used here. Raises FilterError with what was tried."""
    tried = []
    ours = os.geteuid() == 0 and Path("/sys/class/net", bridge).exists()
    candidates: list[PacketFilter] = []
    if ours and shutil.which("nft"):
        candidates.append(Nftables(installation, run_here))
    if ours and shutil.which("iptables-restore"):
        candidates.append(Iptables(installation, run_here))
    candidates.append(Nftables(installation, InContainer(client, installation), "nftables (in a container)"))
    for one in candidates:
        try:
            one.state()
        except FilterError as error:
            tried.append(f"{one.name}: {error.reason}")
        else:
            return one
    raise FilterError("; ".join(tried))
