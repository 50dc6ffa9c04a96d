"""The wall battery: a session of the running service, seen from inside; one assertion a protection.

Each protection is then taken away, one at a time, from a container that the hub's own code describes, and the same
assertion has to fail. Closed hosts are carried by a network namespace of the test's own: all that the sessions' bridge
sends on goes there and nowhere else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import pytest
import pytest_asyncio
from docker.types import DriverConfig

from deploy.hub.allowance import HOSTNAME, OPEN_FILES, SHM_BYTES, Allowance, Volume, container, host_config
from deploy.hub.seccomp import EAFNOSUPPORT, ENOSYS, closed
from launcher.operate.egress import machine, rules
from launcher.operate.egress.filter import Nftables, run_here
from launcher.operate.egress.policy import policy
from launcher.operate.egress.rules import Side
from launcher.operate.egress.table import Endpoint
from launcher.operate.installation import free_port, open_installation
from launcher.sessions.resolve import _tmpfs
from launcher.settings import Settings
from tests.fixtures import inside
from tests.fixtures.netns import listening
from tests.fixtures.netns import world as world_of
from tests.fixtures.service import Service, visiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from launcher.operate.egress.table import Policy
    from tests.fixtures.netns import Target
    from tests.fixtures.registry import RunningRegistry
    from tests.fixtures.repos import GitHost

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]
Change = Callable[[dict[str, Any], dict[str, Any]], None]
"""Of the arguments of `create_host_config` and of `create_container`."""
MIB = 2**20
MEMORY, PROCESSES, TMP = 512 * MIB, 128, 32 * MIB
BASE = "localhost/repolaunch/base:1"
PROGRAM = Path(inside.__file__).read_text()
INSIDE = "/tmp"  # noqa: S108  # the container's
NO_SUCH_FAMILY = os.strerror(EAFNOSUPPORT)
NO_SUCH_CALL = os.strerror(ENOSYS)
CELL = """
import subprocess, sys
looking = '"$0" -c "$1" > walls.new && mv walls.new walls.json'
print(subprocess.Popen(["sh", "-c", looking, sys.executable, {program!r}]).pid)
"""
"""A notebook that looks through a program of its own: what is ended for want of memory is not the kernel."""
LOOK_S = 200
MASKED = ["/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/sys"]
CLOSED: dict[str, Target] = {
    "10.0.0.0/8": ("10.9.9.9", 443, "tcp"),
    "172.16.0.0/12": ("172.31.251.9", 443, "tcp"),
    "192.168.0.0/16": ("192.168.251.9", 443, "tcp"),
    "100.64.0.0/10": ("100.64.251.9", 443, "tcp"),
    "169.254.0.0/16": ("169.254.169.254", 80, "tcp"),
    "168.63.129.16/32": ("168.63.129.16", 80, "tcp"),
    "mail": ("198.51.100.7", 25, "tcp"),
    "mining": ("198.51.100.7", 3333, "tcp"),
}
PUBLIC: Target = ("198.51.100.7", 443, "tcp")
WORLD_HERE, WORLD_THERE = "198.18.251.1", "198.18.251.2"


@dataclass(frozen=True)
class Walls:
    """A service with small limits, a neighbour, and a stand-in for the rest of the world."""

    service: Service
    client: docker.DockerClient
    volume: Volume
    policy: Policy
    side: Side
    neighbour: str
    """Address of another session."""
    prober: Any
    """A container as the hub makes it, in which nothing runs until it is asked."""
    host_ports: tuple[Target, ...]
    """Servers of this machine that are not the hub."""

    @property
    def network(self) -> str:
        return f"repolaunch-{self.service.id}"

    def allowance(self, program: str) -> Allowance:
        """As the launcher gives it, for a program of ours in the place of the server."""
        return Allowance(
            image=str(self.client.images.get(BASE).id),
            volume=self.volume,
            environment={},
            command=("python3", "-c", program),
            entrypoint=("tini", "-g", "--"),
            working_dir="/workspace/work",
            user="1000:1000",
            memory=MEMORY,
            cpu=1.0,
            pids=PROCESSES,
            tmpfs=_tmpfs((), TMP),
        )

    def reach(self, *targets: Target) -> list[str]:
        """What becomes of a session's connections."""
        program = f"{PROGRAM}\nprint(look({{'reach': {list(targets)!r}}}))"
        code, said = self.prober.exec_run(["python3", "-c", program])
        assert code == 0, said
        found: list[str] = json.loads(said)["reach"]
        return found

    def run(self, asked: dict[str, Any], change: Change) -> dict[str, Any]:
        """The facts as a container sees them that the hub would make, but for the change."""
        one = self.make(f"{PROGRAM}\nprint(look({asked!r}))", change)
        try:
            self.client.api.wait(one, timeout=120)
            said = self.client.api.logs(one).decode()
            found: dict[str, Any] = json.loads(said.splitlines()[-1])
            return found
        finally:
            self.client.api.remove_container(one, force=True)

    def make(self, program: str, change: Change) -> str:
        """A running container as the hub makes it, but for the change."""
        allowance = self.allowance(program)
        hosts = host_config(allowance, self.network, [])
        labels = {"repolaunch.installation": self.service.id, "repolaunch.kind": "wall-test"}
        arguments = container(allowance, {}, labels)
        change(hosts, arguments)
        masked = hosts.pop("masked", None)
        made = self.client.api.create_host_config(**hosts)
        if masked is not None:
            made |= {"MaskedPaths": masked, "ReadonlyPaths": masked}
        one: str = self.client.api.create_container(host_config=made, **arguments)["Id"]
        self.client.api.start(one)
        return one

    def set_rules(self, changed: Policy | None) -> None:
        """Other rules for the sessions' bridge; None: none at all."""
        if changed is None:
            run_here(("nft", "-f", "-"), rules.nft_removal(self.service.id))
        else:
            Nftables(self.service.id, run_here).install(changed, [self.side])


@dataclass(frozen=True)
class Wall:
    """One protection: what is asked inside, what holds while it is there, how it is taken away."""

    fact: str
    holds: Callable[[Any], bool]
    remove: Change
    argument: Any = None


def without(*names: str) -> Change:
    def remove(host: dict[str, Any], _: dict[str, Any]) -> None:
        for name in names:
            del host[name]

    return remove


def instead(name: str, value: Any) -> Change:
    def change(host: dict[str, Any], arguments: dict[str, Any]) -> None:
        place = host if name in host or name not in arguments else arguments
        place[name] = value

    return change


def security(option: str, value: str = "") -> Change:
    """Another value for a security option, or none."""

    def change(host: dict[str, Any], _: dict[str, Any]) -> None:
        kept = [one for one in host["security_opt"] if not one.startswith(option)]
        host["security_opt"] = kept + ([value] if value else [])

    return change


def namespace_of_host(kind: str) -> str:
    return str(Path(f"/proc/self/ns/{kind}").readlink())


def no_such(call: str) -> Callable[[Any], bool]:
    return lambda seen: seen[call] == NO_SUCH_CALL


UNCONFINED = security("seccomp", "seccomp=unconfined")
UNLIMITED = without("ulimits")
WALLS = {
    "no capabilities": Wall("capabilities", lambda seen: int(seen, 16) == 0, without("cap_drop")),
    "no new privileges": Wall("privileges", lambda seen: seen == "1", security("no-new-privileges")),
    **{f"no {name}": Wall("calls", no_such(name), UNCONFINED) for name in inside.CALLS["x86_64"] if name in closed()},
    "no new user namespaces by clone": Wall("calls", lambda seen: seen["clone"] != "", UNCONFINED),
    "only sockets for the network": Wall("families", lambda seen: set(seen) == {NO_SUCH_FAMILY}, UNCONFINED),
    "a root that cannot be written": Wall(
        "root", lambda seen: set(seen) == {"Read-only file system"}, without("read_only")
    ),
    "a limited /tmp": Wall("tmp", lambda seen: seen <= TMP, instead("tmpfs", {INSIDE: "rw,mode=1777"}), 2 * TMP),
    "a /tmp where nothing gains rights": Wall(
        "tmp_options",
        lambda seen: {"nosuid", "nodev"} <= set(seen),
        instead("tmpfs", {INSIDE: "rw,exec,suid,dev,mode=1777"}),
    ),
    "a limited /dev/shm": Wall(
        "shm", lambda seen: seen <= SHM_BYTES, instead("shm_size", 4 * SHM_BYTES), 2 * SHM_BYTES
    ),
    "an ordinary user": Wall("who", lambda seen: seen[:2] == [1000, 1000] and 0 not in seen[2], instead("user", "0:0")),
    "a limit of processes": Wall("forks", lambda seen: seen < PROCESSES, without("pids_limit"), 2 * PROCESSES),
    "a limit of memory": Wall(
        "memory",
        lambda seen: seen == -9,
        without("mem_limit", "memswap_limit"),
        MEMORY + 64 * MIB,
    ),
    "a limit of processor time": Wall("cpu", lambda seen: seen == "100000", without("nano_cpus")),
    "no core dumps": Wall("core", lambda seen: seen == 0, UNLIMITED),
    "a limit of open files": Wall("files", lambda seen: seen == OPEN_FILES, UNLIMITED),
    "a first process that reaps": Wall("first", lambda seen: seen == "docker-init", without("init")),
    "masked paths of the kernel": Wall("masked", lambda seen: seen == MASKED, instead("masked", []), MASKED),
    "an ipc namespace of its own": Wall(
        "ipc", lambda seen: seen != namespace_of_host("ipc"), instead("ipc_mode", "host")
    ),
    "processes of its own": Wall(
        "processes", lambda seen: seen != namespace_of_host("pid"), instead("pid_mode", "host")
    ),
    "a host name that says nothing": Wall("hostname", lambda seen: seen == HOSTNAME, instead("hostname", None)),
    "search domains that say nothing": Wall("search", lambda seen: seen == [], instead("dns_search", ["a.example"])),
    "first to go when memory is short": Wall("oom", lambda seen: seen == "500", without("oom_score_adj")),
    "no engine": Wall(
        "socket", lambda seen: not seen, instead("binds", ["/var/run/docker.sock:/var/run/docker.sock:ro"])
    ),
    "no disks": Wall("disks", lambda seen: seen == [], instead("devices", ["/dev/loop0:/dev/loop0:r"])),
}


@pytest.fixture(scope="module")
def small_service(tmp_path_factory: pytest.TempPathFactory, registry: RunningRegistry) -> Iterator[Service]:
    one = Service(tmp_path_factory.mktemp("walls") / "data", free_port())
    one.env = {
        "REPOLAUNCH_REGISTRY": registry.host,
        "REPOLAUNCH_REGISTRY_TLS": "false",
        "REPOLAUNCH_SESSION_MEMORY": str(MEMORY),
        "REPOLAUNCH_SESSION_CPUS": "1",
        "REPOLAUNCH_SESSION_PROCESSES": str(PROCESSES),
        "REPOLAUNCH_SESSION_TMP_BYTES": str(TMP),
    }
    try:
        one.start()
        yield one
    finally:
        one.remove()


@pytest.fixture(scope="module")
def world(small_service: Service) -> Iterator[tuple[Target, ...]]:
    """Carries every address that is asked for; only what comes from the sessions' bridge is sent there."""
    server = next(one for one in machine.endpoints() if one.port == 53 and one.address.version == 4)
    name_server: Target = (str(server.address), 53, "udp")
    targets = (*CLOSED.values(), PUBLIC, name_server)
    with world_of(f"rl-{small_service.id}", WORLD_HERE, WORLD_THERE, *targets):
        yield (PUBLIC, name_server)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def walls(
    small_service: Service, world: tuple[Target, ...], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Walls]:
    assert world
    client = docker.from_env()
    network = client.networks.get(f"repolaunch-{small_service.id}")
    gateway = str(network.attrs["IPAM"]["Config"][0]["Gateway"]).partition("/")[0]
    folder = tmp_path_factory.mktemp("workspace")
    for name in ("work", "home"):
        (folder / name).mkdir()
        os.chown(folder / name, 1000, 1000)
    label = {"repolaunch.installation": small_service.id}
    driver = DriverConfig("local", {"type": "none", "o": "bind", "device": str(folder)})
    volume = f"repolaunch-{small_service.id}-walls"
    client.volumes.create(volume, driver_opts=driver["Options"], labels=label)
    hub = open_installation(small_service.data).ports.hub
    other = client.containers.run(
        BASE, ["-m", "http.server", "8888"], entrypoint=["python3"], network=network.name, labels=label, detach=True
    )
    other.reload()
    port = free_port()
    host_ports: tuple[Target, ...] = ((gateway, port, "tcp"), ("172.17.0.1", port, "tcp"), (WORLD_HERE, port, "tcp"))
    made = Walls(
        small_service,
        client,
        Volume(name=volume, device=str(folder), target="/workspace"),
        policy(Settings(), machine.endpoints()),
        Side(f"rl-{small_service.id}", (Endpoint(ipaddress.ip_address(gateway), hub, "tcp", "the hub"),)),
        other.attrs["NetworkSettings"]["Networks"][network.name]["IPAddress"],
        None,
        host_ports,
    )
    prober = client.containers.get(made.make("import signal; signal.pause()", lambda *_: None))
    with listening(("0.0.0.0", port, "tcp")):  # noqa: S104  # closed to sessions: that is what is tested
        yield replace(made, prober=prober)
    for one in (prober, other):
        one.remove(force=True)
    client.close()


def _asked(walls: Walls) -> dict[str, Any]:
    """All facts; each target that is closed or open."""
    hub = walls.side.open_on_host[0]
    targets = [*CLOSED.values(), *walls.host_ports, (walls.neighbour, 8888, "tcp"), (str(hub.address), hub.port, "tcp")]
    return {wall.fact: wall.argument for wall in WALLS.values()} | {"reach": [*targets, PUBLIC, _name_server(walls)]}


def _name_server(walls: Walls) -> Target:
    (server, *_) = (one for one in walls.policy.open_endpoints if one.port == 53 and one.protocol == "udp")
    return (str(server.address), server.port, "udp")


async def test_every_wall_of_a_session_seen_by_its_own_notebook(walls: Walls, git_daemon: GitHost) -> None:
    repo = git_daemon.make_repo(files={"Dockerfile": f"FROM {BASE}\nRUN echo {secrets.token_hex(4)}\n"})
    async with visiting(walls.service) as visitor:
        await visitor.enter()
        ready = (await visitor.launch(repo.url))[-1]
        assert ready["type"] == "ready", ready
        session = await visitor.session(ready["url"])
        asked = _asked(walls)
        program = f"{PROGRAM}\nprint(look({asked!r}))"
        await session.run(CELL.format(program=program))
        answer = walls.service.data / "workspaces" / ready["project"] / "work" / "walls.json"
        async with asyncio.timeout(LOOK_S):
            while not answer.exists():
                await asyncio.sleep(0.2)
        seen = json.loads(answer.read_text())
    wrong = {name: seen[wall.fact] for name, wall in WALLS.items() if not wall.holds(seen[wall.fact])}
    assert wrong == {}
    count = len(CLOSED) + len(walls.host_ports) + 1
    assert {"open", "silence"}.isdisjoint(seen["reach"][:count]), seen["reach"]
    assert seen["reach"][count:] == ["open"] * 3, seen["reach"]  # the hub, the public, the name server
    (one,) = (one for one in walls.service.containers() if one.labels.get("repolaunch.project") == ready["project"])
    host = one.attrs["HostConfig"]
    assert host["MemorySwap"] == host["Memory"] == MEMORY
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "2", "max-size": "1m"}}
    assert ready["project"] not in one.name


@pytest.fixture(scope="module")
def seen_without(walls: Walls) -> Callable[[Wall], Any]:
    """A wall's fact as a container without that wall sees it; one container for all walls that go together."""
    known: dict[int, dict[str, Any]] = {}

    def seen(wall: Wall) -> Any:
        together = {one.fact: one.argument for one in WALLS.values() if one.remove is wall.remove}
        if id(wall.remove) not in known:
            known[id(wall.remove)] = walls.run(together, wall.remove)
        return known[id(wall.remove)][wall.fact]

    return seen


async def test_every_wall_of_a_container_as_the_hub_makes_it(walls: Walls) -> None:
    """What is taken away below was there."""
    asked = {wall.fact: wall.argument for wall in WALLS.values()}
    seen = walls.run(asked, lambda *_: None)
    assert {name: seen[wall.fact] for name, wall in WALLS.items() if not wall.holds(seen[wall.fact])} == {}


@pytest.mark.parametrize("name", WALLS)
async def test_without_its_wall_the_assertion_fails(name: str, seen_without: Callable[[Wall], Any]) -> None:
    wall = WALLS[name]
    assert not wall.holds(seen_without(wall))


@pytest.mark.parametrize("line", CLOSED)
async def test_without_its_line_of_the_table_an_address_is_open(walls: Walls, line: str) -> None:
    kept = walls.policy
    changed = replace(
        kept,
        closed_networks=tuple(one for one in kept.closed_networks if str(one.network) != line),
        closed_ports=tuple(one for one in kept.closed_ports if one.why != line),
    )
    walls.set_rules(changed)
    try:
        seen = walls.reach(*CLOSED.values())
    finally:
        walls.set_rules(kept)
    assert [one for one, what in zip(CLOSED, seen, strict=True) if what == "open"] == [line]


async def test_without_the_rules_this_machine_is_open(walls: Walls) -> None:
    walls.set_rules(None)
    try:
        seen = walls.reach(*walls.host_ports)
    finally:
        walls.set_rules(walls.policy)
    assert seen == ["open"] * len(walls.host_ports)


async def test_neighbours_are_kept_apart_twice(walls: Walls) -> None:
    """By the engine's bridge and by our rules: each alone does it, without both they meet."""
    neighbour: Target = (walls.neighbour, 8888, "tcp")
    walls.set_rules(None)
    try:
        assert walls.reach(neighbour) != ["open"]
    finally:
        walls.set_rules(walls.policy)
    # The engine's own rule, taken away and put back.
    bridge = walls.side.interface
    apart = ["FORWARD", "-i", bridge, "-o", bridge, "-j"]
    run_here(("iptables", "-R", apart[0], str(_place(bridge)), *apart[1:], "ACCEPT"), "")
    try:
        assert walls.reach(neighbour) != ["open"]
        walls.set_rules(None)
        assert walls.reach(neighbour) == ["open"]
    finally:
        walls.set_rules(walls.policy)
        run_here(("iptables", "-R", apart[0], str(_place(bridge)), *apart[1:], "DROP"), "")


def _place(bridge: str) -> int:
    """The number of the engine's rule between containers of this bridge."""
    lines = run_here(("iptables", "-S", "FORWARD"), "").splitlines()[1:]
    return 1 + next(
        number for number, line in enumerate(lines) if line.startswith(f"-A FORWARD -i {bridge} -o {bridge} ")
    )


async def test_the_name_server_says_nothing_of_whose_a_neighbour_is(walls: Walls) -> None:
    names = [str(one.name) for one in walls.service.containers() if one.labels.get("repolaunch.kind") == "session"]
    projects = [
        one.labels["repolaunch.project"] for one in walls.service.containers() if "repolaunch.project" in one.labels
    ]
    assert names
    assert not [name for name in names for project in projects if project in name]


async def test_a_runtime_that_the_engine_lacks_stops_the_start(tmp_path: Path) -> None:
    argv = [
        sys.executable,
        "-m",
        "launcher",
        "up",
        "--data",
        str(tmp_path / "data"),
        "--port",
        str(free_port()),
        "--no-example",
    ]
    env = os.environ | {"REPOLAUNCH_SESSION_RUNTIME": "runsc-that-is-not-there"}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)  # noqa: ASYNC221
    assert done.returncode == 1
    assert done.stderr.startswith(
        "The setting session_runtime is 'runsc-that-is-not-there', which cannot be: "
        "the container engine has no runtime of that name; it has "
    ), done.stderr


async def test_the_runtime_reaches_the_container(walls: Walls) -> None:
    chosen = walls.allowance("pass").model_copy(update={"runtime": "runc"})
    assert host_config(chosen, "x", [])["runtime"] == "runc"
    assert walls.client.api.create_host_config(**host_config(chosen, "x", []))["Runtime"] == "runc"
