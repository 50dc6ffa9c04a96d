"""The engine that builds: a container of its own, so that a build's limits hold and its walls are its own.

`deploy/images/build-engine/supervisor.py` runs in it. What it keeps (base images, build cache) is on a volume that
outlives it. What is no coroutine blocks.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from docker.types import Mount

from builders.lines import Error, Progress, parse_line
from builders.process import Command, running
from builders.sockets import connected
from builders.variables import BUILD_ENGINE, CONTROL_SOCKET, ENVIRONMENT, NETWORK
from launcher.build_settings import SHARED
from launcher.operate import worker
from launcher.operate.egress import machine, rules
from launcher.operate.egress.policy import policy
from launcher.operate.egress.table import ClosedNetwork
from launcher.operate.engine import BASE_IMAGE
from launcher.operate.installation import ROOT, InstallationError, write_private
from launcher.operate.kept import FOREIGN, Code, Kept, Recipe, failed, sentence_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack

    from docker import DockerClient

    from launcher.operate.egress.table import Policy
    from launcher.operate.installation import Installation
    from launcher.settings import Settings

    Say = Callable[[str], object]

log = logging.getLogger(__name__)
IMAGE = "localhost/repolaunch/build-engine:1"
CODE = ROOT / "deploy" / "images" / "build-engine"
OWN = "own"
"""A value of the setting `build_engine`, as SHARED is; any other is the folder of one that somebody else keeps."""
SPARE_MEMORY = 3 * 2**29
SPARE_PROCESSES = 1024
"""For the engine itself, besides what the builds may have."""
LOOK_S = 5.0
FILL_S = 900
READY = "The build engine is ready ({:.1f} s)."
SILENT = 24
"""Looks in a row without an answer after which the container is started again; the supervisor in it tries first."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a build engine is spoken to."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What builder processes are told (builders/variables.py)."""
        return {BUILD_ENGINE: str(self.folder)}

    def answers(self, seconds: float = 10) -> bool:
        """Whether it builds. Blocks up to `seconds`."""
        try:
            with connected(self.folder / CONTROL_SOCKET, seconds) as asker:
                asker.sendall(b'{"ping": true}\n')
                return b'"ready": true' in asker.recv(4096)
        except OSError:
            return False


def place(installation: Installation, settings: Settings) -> Place | None:
    """Where builds go; None: to the engine of the sessions, without limits."""
    if settings.build_engine == SHARED:
        return None
    own = settings.build_engine == OWN
    return Place(installation.path("run", "builds") if own else Path(settings.build_engine).absolute())


def told(builds: Place | None, installation: Installation) -> dict[str, str]:
    """What builder processes are told of where they build, and through which network they fetch."""
    return builds.environment if builds else {NETWORK: installation.fetching}


async def start(
    stack: AsyncExitStack, client: DockerClient, installation: Installation, settings: Settings, say: Say
) -> None:
    """Keep a build engine until `stack` ends, where there is to be one of our own.

    Nobody waits until it answers and has the base image: a build does. `say` is told. Raises InstallationError.
    """
    if settings.build_engine != OWN:
        return
    engine = BuildEngine(client, installation, settings, await asyncio.to_thread(walls, settings))
    stack.callback(engine.stop)
    await asyncio.to_thread(engine.ensure)
    keeper = asyncio.create_task(_keep(engine, say), name="keep the build engine")
    stack.callback(keeper.cancel)


async def _keep(engine: BuildEngine, say: Say) -> None:
    """Fill it; start it again when it has ended, and when it says nothing for two minutes. Never returns."""
    filling, silent = asyncio.create_task(fill(engine.place, say)), 0
    try:
        while True:
            await asyncio.sleep(LOOK_S)
            silent = 0 if await asyncio.to_thread(engine.place.answers) else silent + 1
            try:
                if await asyncio.to_thread(engine.look, silent):
                    filling.cancel()
                    filling, silent = asyncio.create_task(fill(engine.place, say)), 0
            except InstallationError as error:
                log.warning("%s", error)
    finally:
        filling.cancel()


async def fill(place: Place, say: Say) -> bool:
    """Give it the site's base image as soon as it answers: the first build need not wait for it. Whether it has it."""
    while not await asyncio.to_thread(place.answers):  # noqa: ASYNC110  # another program says when
        await asyncio.sleep(0.2)
    before, reason = time.monotonic(), ""
    argv = (sys.executable, "-m", "builders", "bring", "--json", f"--time-limit={FILL_S}", "--", BASE_IMAGE)
    env = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ} | place.environment
    async with running(Command(argv, env, cwd=ROOT, leash=True, stderr=False)) as child:
        async for raw in child.lines():
            match parse_line(raw):
                case Progress(text):
                    say(f"{text}.")
                case Error(name, facts):
                    reason = str(facts.get("reason") or name)
        await child.wait()
    took = time.monotonic() - before
    say(f"The build engine could not be given the base image: {reason}." if reason else READY.format(took))
    return not reason


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
        self._stores = str(worker.stores(installation, settings))
        self._walls = rules.namespace_nft("builds", policy)
        # Its network and its volume have the same name.
        self._kept = Kept(client, installation.id, f"repolaunch-{installation.id}-builds")
        self.place = Place(self._folder)

    @property
    def name(self) -> str:
        """The name of the container, of its network and of its volume."""
        return self._kept.name

    def ensure(self) -> None:
        """Start it, made anew where something about it changed; it may take seconds to answer.

        Raises InstallationError.
        """
        recipe = self._recipe()
        write_private(self._folder / "walls.nft", self._walls)
        try:
            self._ensure_network()
        except FOREIGN as error:
            raise failed(recipe, sentence_of(error)) from None
        self._kept.ensure(recipe)

    def stop(self) -> None:
        """Stop it and remove its container; what it keeps stays."""
        self._kept.stop(10)

    def look(self, silent: int) -> bool:
        """Start it again if it has ended, or was silent so often; whether it was started. Raises InstallationError."""
        try:
            container = self._kept.find()
            if container is None or container.status not in {"running", "restarting", "created"}:
                log.warning("the build engine has ended; it is started again")
                self.ensure()
                return True
            if silent >= SILENT:
                log.warning("the build engine does not answer; it is started again")
                container.restart(timeout=5)
                return True
        except FOREIGN as error:
            raise failed(self._recipe(), sentence_of(error)) from None
        return False

    def _memory(self) -> int:
        return self._settings.build_limit * self._settings.build_memory + SPARE_MEMORY

    def _ensure_network(self) -> None:
        label = self._installation.label
        found = self._client.networks.list(names=[self.name], filters={"label": label})
        if not any(one.name == self.name for one in found):
            bridge = {"com.docker.network.bridge.name": f"rb-{self._installation.id}"}
            self._client.networks.create(self.name, driver="bridge", labels=self._kept.labels, options=bridge)

    def _recipe(self) -> Recipe:
        settings = self._settings
        options = {
            "command": [
                *(f"--dns={server}" for server in name_servers()),
                f"--group={os.getgid()}",
                f"--cache={settings.build_cache}",
                f"--floor={settings.disk_floor_bytes}",
            ],
            "environment": {name: os.environ[name] for name in PROXIES if name in os.environ},
            "tmpfs": {"/run": "size=64m,mode=755"},
            "network": self.name,
            # It mounts overlays, makes cgroups and packet filters, all in namespaces of its own; steps of builds get
            # none of this. It sees no device, no process and no cgroup of the machine but its own.
            "cgroupns": "private",
            # SYS_PTRACE shows which files the steps, other users, hold open.
            "cap_add": ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"],
            "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
            "mem_limit": self._memory(),
            "memswap_limit": self._memory(),
            # When the machine is busy, sessions come first.
            "cpu_shares": 512,
            "pids_limit": settings.build_limit * settings.build_processes + SPARE_PROCESSES,
        }
        mounts = (
            Mount("/var/lib/docker", self.name, type="volume"),
            Mount("/run/build-engine", str(self._folder), type="bind"),
            # At the same place as here, where builder processes read what was built there.
            Mount(self._stores, self._stores, type="bind"),
        )
        code = Code(CODE, self._folder.with_name("build-engine-code"), "/opt/build-engine")
        return Recipe(
            *("the build engine", "build-engine", IMAGE, code, options, mounts),
            besides=self._walls,
            advice='Where the container engine cannot run it, choose `build_engine = "shared"`: '
            "builds then have no limits.",
            volumes=(self.name,),
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
