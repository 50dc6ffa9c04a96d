"""The engine that builds: a container of its own, so that a build's limits hold and its walls are its own.

`deploy/images/build-engine/supervisor.py` runs in it. What it keeps (base images, build cache) is on a volume that
outlives it. Synchronous, but for `keep`: call the rest in a thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import logging
import os
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import docker.errors
import psutil
import requests.exceptions
from docker.types import LogConfig, Mount

from launcher.operate.egress import machine, rules
from launcher.operate.egress.policy import policy
from launcher.operate.egress.table import ClosedNetwork
from launcher.operate.installation import InstallationError, write_private

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from docker import DockerClient
    from docker.models.containers import Container

    from launcher.operate.egress.table import Policy
    from launcher.operate.installation import Installation
    from launcher.settings import Settings

log = logging.getLogger(__name__)
IMAGE = "localhost/repolaunch/build-engine:1"
CODE = Path(__file__).parents[2] / "deploy" / "images" / "build-engine"
OWN, SHARED = "own", "shared"
"""Values of the setting `build_engine`; any other is the folder of a build engine that somebody else keeps."""
FLAVOUR = "repolaunch.build-engine"
"""Label with the digest of what a container was made from: another digest, another container."""
SPARE_MEMORY = 3 * 2**29
SPARE_PROCESSES = 1024
"""For the engine itself, besides what the builds may have."""
LONGEST_ADDRESS = 107
"""Bytes of the address of a Unix socket."""
LOOK_S = 5.0
SILENT = 24
"""Looks in a row without an answer after which the container is started again; the supervisor in it tries first."""
FOREIGN = (docker.errors.DockerException, requests.exceptions.RequestException)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a build engine is spoken to."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What builder processes are told (builders/interface.py)."""
        return {
            "REPOLAUNCH_BUILD_ENGINE": f"unix://{self.folder / 'engine.sock'}",
            "REPOLAUNCH_BUILD_CONTROL": str(self.folder / "control.sock"),
        }

    def answers(self, seconds: float = 10) -> bool:
        """Whether it builds. Blocks up to `seconds`."""
        try:
            with socket.socket(socket.AF_UNIX) as asker:
                asker.settimeout(seconds)
                asker.connect(str(self.folder / "control.sock"))
                asker.sendall(b'{"ping": true}\n')
                return b'"ready": true' in asker.recv(4096)
        except OSError:
            return False


def place(installation: Installation, settings: Settings) -> Place | None:
    """Where builds go; None: to the engine of the sessions, without limits. Raises InstallationError."""
    if settings.build_engine == SHARED:
        return None
    own = settings.build_engine == OWN
    folder = installation.path("run", "builds") if own else Path(settings.build_engine).absolute()
    if len(os.fsencode(folder / "control.sock")) > LONGEST_ADDRESS:
        raise InstallationError(
            f"The path {folder} is too long for a socket. Choose a shorter data folder with --data."
        )
    return Place(folder)


async def start(
    stack: AsyncExitStack, client: DockerClient, installation: Installation, settings: Settings
) -> Place | None:
    """What `up` does: where builds go, and a build engine there that runs until `stack` ends.

    Nobody waits until it answers: a build does. Raises InstallationError.
    """
    where = place(installation, settings)
    if where is not None and settings.build_engine == OWN:
        engine = BuildEngine(client, installation, settings, await asyncio.to_thread(walls, settings))
        stack.callback(engine.stop)
        await asyncio.to_thread(engine.ensure)
        keeper = asyncio.create_task(engine.keep(), name="keep the build engine")
        stack.callback(keeper.cancel)
    return where


def walls(settings: Settings) -> Policy:
    """What builds may reach: what sessions may, but nothing at all of this machine. Blocks."""
    chosen = policy(settings, machine.endpoints())
    own = [one.address.partition("%")[0] for each in psutil.net_if_addrs().values() for one in each]
    ours = [ClosedNetwork(ipaddress.ip_network(one), "this machine") for one in own if _is_address(one)]
    return replace(chosen, closed_networks=(*chosen.closed_networks, *ours))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class BuildEngine:
    """The container of one installation."""

    def __init__(self, client: DockerClient, installation: Installation, settings: Settings, policy: Policy) -> None:
        """`policy` is what builds may reach."""
        self._client, self._installation, self._settings = client, installation, settings
        self._folder = installation.path("run", "builds")
        self._policy = policy
        self.place = Place(self._folder)

    @property
    def name(self) -> str:
        """The name of the container, of its network and of its volume."""
        return f"repolaunch-{self._installation.id}-builds"

    def ensure(self) -> None:
        """Start it, made anew where something about it changed; it may take seconds to answer.

        Raises InstallationError.
        """
        try:
            self._client.images.get(IMAGE)
            write_private(self._folder / "walls.nft", rules.namespace_nft("builds", self._policy))
            self._ensure_network()
            container = self._current() or self._create()
            if container.status != "running":
                container.start()
        except docker.errors.ImageNotFound:
            raise InstallationError("The image of the build engine is missing. Run `make setup`.") from None
        except FOREIGN as error:
            raise InstallationError(
                f"The build engine cannot be started: {_sentence(error)}. Where the container engine cannot run it, "
                'choose `build_engine = "shared"`: builds then have no limits.'
            ) from None

    def stop(self) -> None:
        """Stop it and remove its container; what it keeps stays."""
        try:
            container = self._find()
            if container is not None:
                container.stop(timeout=10)
                container.remove(force=True)
        except FOREIGN as error:
            log.warning("the build engine cannot be stopped: %s", _sentence(error))

    async def keep(self) -> None:
        """Start it again when it has ended, and when it says nothing for two minutes. Never returns."""
        silent = 0
        while True:
            await asyncio.sleep(LOOK_S)
            silent = 0 if await asyncio.to_thread(self.place.answers) else silent + 1
            try:
                await asyncio.to_thread(self._look, silent)
            except (InstallationError, *FOREIGN) as error:
                log.warning("%s", error)
            if silent >= SILENT:
                silent = 0

    def _look(self, silent: int) -> None:
        container = self._find()
        if container is None or container.status not in {"running", "restarting", "created"}:
            log.warning("the build engine has ended; it is started again")
            self.ensure()
        elif silent >= SILENT:
            log.warning("the build engine does not answer; it is started again")
            container.restart(timeout=5)

    def _find(self) -> Container | None:
        try:
            return self._client.containers.get(self.name)
        except docker.errors.NotFound:
            return None

    def _current(self) -> Container | None:
        container = self._find()
        if container is not None and container.labels.get(FLAVOUR) != self._flavour():
            container.remove(force=True)
            return None
        return container

    def _flavour(self) -> str:
        code = [path.read_bytes() for path in (Path(__file__), *sorted(CODE.glob("*.py")))]
        parts = [self._client.images.get(IMAGE).id, repr(self._command()), repr(self._memory()), str(self._folder)]
        return hashlib.sha256(b"\0".join([*code, json.dumps(parts).encode()])).hexdigest()

    def _memory(self) -> int:
        return self._settings.build_limit * self._settings.build_memory + SPARE_MEMORY

    def _command(self) -> list[str]:
        return [
            *(f"--dns={server}" for server in name_servers()),
            f"--group={os.getgid()}",
            f"--cache={self._settings.build_cache}",
        ]

    def _ensure_network(self) -> None:
        label, identity = self._installation.label.split("=")
        found = self._client.networks.list(names=[self.name], filters={"label": self._installation.label})
        if not any(one.name == self.name for one in found):
            bridge = {"com.docker.network.bridge.name": f"rb-{self._installation.id}"}
            self._client.networks.create(self.name, driver="bridge", labels={label: identity}, options=bridge)

    def _create(self) -> Container:
        label, identity = self._installation.label.split("=")
        labels = {label: identity, "repolaunch.kind": "build-engine"}
        self._client.volumes.create(self.name, labels=labels)
        return self._client.containers.create(
            IMAGE,
            self._command(),
            name=self.name,
            labels=labels | {FLAVOUR: self._flavour()},
            environment={name: os.environ[name] for name in PROXIES if name in os.environ},
            mounts=[
                Mount("/var/lib/docker", self.name, type="volume"),
                Mount("/run/build-engine", str(self._folder), type="bind"),
                Mount("/opt/build-engine", str(CODE), type="bind", read_only=True),
            ],
            tmpfs={"/run": "size=64m,mode=755"},
            network=self.name,
            # It mounts overlays, makes cgroups and packet filters, all in namespaces of its own; steps of builds get
            # none of this. It sees no device, no process and no cgroup of the machine but its own.
            cgroupns="private",
            cap_add=["SYS_ADMIN", "NET_ADMIN"],
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
            mem_limit=self._memory(),
            memswap_limit=self._memory(),
            # When the machine is busy, sessions come first.
            cpu_shares=512,
            pids_limit=self._settings.build_limit * self._settings.build_processes + SPARE_PROCESSES,
            restart_policy={"Name": "on-failure", "MaximumRetryCount": 10},
            log_config=LogConfig(type="json-file", config={"max-size": "5m", "max-file": "2"}),
        )


def name_servers() -> list[str]:
    """This machine's, as a container can use them: not those that listen on loopback."""
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        try:
            words = [line.split() for line in path.read_text().splitlines()]
        except OSError:
            continue
        found = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
        if usable := [one for one in found if not one.startswith("127.") and one != "::1"]:
            return usable
    return []


def _sentence(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error).splitlines()[0][:300]
