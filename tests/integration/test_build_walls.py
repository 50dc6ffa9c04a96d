"""What a build cannot reach and cannot read: private hosts, this machine, other builds' caches, other people's images.

The hosts are stand-ins: a network namespace of the test's own, joined to the build engine's, carries their addresses.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from builders import machine
from launcher.operate.installation import free_port
from launcher.sessions.resolve import CERTIFICATE_VARIABLES
from tests.fixtures.builds import error, printed, said
from tests.fixtures.engine import BASE_IMAGE
from tests.fixtures.netns import REACH, ip, listening, namespace
from tests.fixtures.trusted import TRUSTING_IMAGE, holds

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from tests.fixtures.build_engine import RunningBuildEngine
    from tests.fixtures.builds import Builds
    from tests.fixtures.netns import Target
    from tests.fixtures.service import Service

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
PRIVATE, METADATA = "10.9.9.9", "169.254.169.254"
HOSTS: tuple[Target, ...] = (
    (PRIVATE, 443, "tcp"),
    (PRIVATE, 80, "tcp"),
    ("172.20.9.9", 443, "tcp"),
    ("192.168.9.9", 443, "tcp"),
    ("100.64.9.9", 443, "tcp"),
    (METADATA, 80, "tcp"),
    ("198.51.100.7", 25, "tcp"),
)


@pytest.fixture(scope="module")
def hosts(build_engine: RunningBuildEngine) -> Iterator[None]:
    """The stand-ins, reachable from the build engine but for its walls."""
    pid = build_engine.dockerd.pid
    here = f"rlw{secrets.token_hex(3)}"

    def engine(*words: str) -> None:
        subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", *words], check=True)

    with namespace("w") as world:
        ip("link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", world.name)
        ip("link", "set", here, "netns", str(pid))
        engine("addr", "add", "10.254.9.1/32", "dev", here)
        engine("link", "set", here, "up")
        world.ip("link", "set", "eth0", "up")
        world.ip("route", "add", "10.254.9.1/32", "dev", "eth0")
        for address in sorted({address for address, _, _ in HOSTS}):
            world.ip("addr", "add", f"{address}/32", "dev", "lo")
            engine("route", "add", f"{address}/32", "dev", here)
        world.sysctl("net/ipv4/conf/eth0/proxy_arp", 1)
        with world.listening(*HOSTS):
            yield


def reaching(targets: tuple[Target, ...]) -> str:
    """A step that prints what became of connections."""
    script = REACH.replace("sys.argv[1]", repr(json.dumps(targets)))
    return f"RUN /opt/server/bin/python <<'END'\n{script}\nEND"


def reached(builds: Builds, targets: tuple[Target, ...]) -> list[str]:
    lines = said(builds.start(reaching(targets)))
    assert lines[-1]["type"] == "built", lines[-1]
    (found,) = [text for text in printed(lines) if text.startswith("[")]
    outcome: list[str] = json.loads(found)
    return outcome


@pytest.mark.usefixtures("hosts")
def test_what_a_dockerfile_names_is_closed(builds: Builds) -> None:
    for address, line in ((PRIVATE, f"ADD http://{PRIVATE}/x /"), (METADATA, f"ADD http://{METADATA}/latest /")):
        got, facts = error(builds.start(line))
        assert (got, facts["address"]) == ("BuildAddressClosed", address), facts
    got, facts = error(builds.start_whole(f"FROM {PRIVATE}/x\n"))
    assert (got, facts["address"]) == ("BuildAddressClosed", PRIVATE), facts
    got, facts = error(builds.start_whole(f"# syntax={PRIVATE}/x\nFROM {BASE_IMAGE}\n"))
    assert (got, facts["path"]) == ("EnvironmentBroken", "Dockerfile"), facts


@pytest.mark.usefixtures("hosts")
def test_what_a_step_reaches(builds: Builds, build_engine: RunningBuildEngine, service: Service) -> None:
    """Nothing private, nothing of this machine; and without the walls all of it, so it is they who close it."""
    hub = urlsplit(json.loads((service.data / "run" / "service.json").read_text())["hub_api_url"])
    network = build_engine.client.networks.get(build_engine.engine.name)
    gateway, port = network.attrs["IPAM"]["Config"][0]["Gateway"], free_port()
    machine: tuple[Target, ...] = ((str(hub.hostname), int(hub.port or 80), "tcp"), (gateway, port, "tcp"))
    with listening(("0.0.0.0", port, "tcp")):  # noqa: S104  # another process of this machine, on every address
        closed = reached(builds, (*HOSTS, *machine))
        assert "open" not in closed, closed
        assert "silence" not in closed, "what is closed is refused at once"
        build_engine.run("nft", "delete", "table", "inet", "repolaunch_builds")
        try:
            assert reached(builds, (*HOSTS, machine[1])) == ["open"] * (len(HOSTS) + 1)
        finally:
            build_engine.run("nft", "--file", "/run/build-engine/walls.nft")


def test_the_service_s_own_loopback_is_not_the_builds(builds: Builds, service: Service) -> None:
    """Launcher and registry listen on the machine's loopback; a build's is another."""
    ports = json.loads((service.data / "ports.json").read_text())
    targets: tuple[Target, ...] = tuple(("127.0.0.1", port, "tcp") for port in sorted(ports.values()))
    assert "open" not in reached(builds, targets)


@pytest.mark.parametrize("options", ["id=pip", "id=pip,sharing=private", ""])
def test_a_cache_is_the_environment_s_own(builds: Builds, options: str) -> None:
    """Whoever writes the same id into a Dockerfile finds nothing of others there, and leaves nothing to them."""
    mount = ",".join(filter(None, ["type=cache", options, f"target=/cache-{secrets.token_hex(4)}"]))
    folder = mount.rpartition("=")[2]
    step = f"RUN --mount={mount} ls -A {folder} | sed s/^/found:/; date > {folder}/poison"
    for _ in range(2):
        lines = builds.run(step)
        assert lines[-1]["type"] == "built", lines[-1]
        assert [text for text in printed(lines) if text.startswith("found:")] == []


def test_the_machine_s_own_images_are_nobodys_to_read(builds: Builds, engine: docker.DockerClient) -> None:
    """But for those that the operator names."""
    name = f"localhost/repolaunch-test-{secrets.token_hex(4)}"
    engine.images.get(BASE_IMAGE).tag(name, "1")
    try:
        for line in (f"RUN --mount=type=bind,from={name}:1,target=/x true", f"COPY --from={name}:1 /etc/hostname /x"):
            got, facts = error(builds.start(line))
            assert (got, facts) == ("BaseImageMissing", {"image": f"{name}:1"}), line
        allowed = f"--local-images=localhost/repolaunch/base:*,{name}:*"
        final = builds.run(f"RUN --mount=type=bind,from={name}:1,target=/x true", allowed)[-1]
        assert final["type"] == "built", final
    finally:
        engine.images.remove(f"{name}:1")


def test_a_step_trusts_whom_the_machine_trusts_and_no_layer_knows(builds: Builds, engine: docker.DockerClient) -> None:
    """What stands on the base image is pushed: it has the site's authorities while it is built, and no longer."""
    ours = machine.extra_certificates()
    wanted = [pem.splitlines() for pem in machine.blocks(ours).values()]
    names = CERTIFICATE_VARIABLES if wanted else ()
    # By another line than what is looked for in the image: its history has the steps.
    lines_of = " -e ".join(pem[2] for pem in wanted)
    steps = [f'RUN grep -cxF -e {lines_of} "${name}" && ls -l "${name}"' for name in names]
    lines = builds.run("\n".join((*steps, "USER 1000", *steps[:1], "RUN ls -A /dev")))
    assert lines[-1]["type"] == "built", lines[-1]
    assert printed(lines).count(str(len(wanted))) == (len(names) + bool(names)), lines
    assert holds(engine, lines[-1]["engine_id"], ours) == []
    got, facts = error(builds.start_whole(f"FROM {TRUSTING_IMAGE}\n"))
    assert (got, facts) == ("BaseImageMissing", {"image": TRUSTING_IMAGE})


@pytest.mark.long
def test_only_what_is_pushed_nowhere_holds_the_machine_s_authorities(engine: docker.DockerClient) -> None:
    """So the search finds what is there."""
    ours = machine.extra_certificates()
    assert holds(engine, BASE_IMAGE, ours) == []
    assert holds(engine, TRUSTING_IMAGE, ours) == sorted(pem.splitlines()[1] for pem in machine.blocks(ours).values())


@pytest.mark.parametrize("flag", ["--network=host", "--security=insecure"])
def test_a_step_cannot_leave_its_sandbox(builds: Builds, flag: str) -> None:
    got, facts = error(builds.start(f"RUN {flag} true"))
    assert got == "BuildFailed", facts


RAW = """
import ctypes, os, socket
def tried(*kind):
    try:
        return socket.socket(*kind) and "open"
    except OSError as error:
        return os.strerror(error.errno)
def shown(word):
    with open("/proc/self/status") as status:
        return next(line.split()[1] for line in status if line.startswith(word))
print("packet:", tried(socket.AF_PACKET, socket.SOCK_RAW, 0x300))
print("raw:", tried(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
print("capabilities:", *sorted({int(shown(word), 16) >> 13 & 1 for word in ("CapBnd", "CapEff", "CapPrm", "CapInh")}))
ctypes.CDLL(None).unshare(0x10000000)  # a user namespace, refused or not
print("packet again:", tried(socket.AF_PACKET, socket.SOCK_RAW, 0x300))
"""


def test_a_step_cannot_answer_for_its_neighbours(builds: Builds) -> None:
    """It is root, and neither sees nor makes packets of its own."""
    lines = builds.run(f"RUN /opt/server/bin/python <<'END'\n{RAW}\nEND")
    assert lines[-1]["type"] == "built", lines[-1]
    refused = "Operation not permitted"
    told = [f"packet: {refused}", f"raw: {refused}", "capabilities: 0", f"packet again: {refused}"]
    assert [text for text in printed(lines) if text.startswith(("packet", "raw", "cap"))] == told


LISTENER = """
import socket, time
with socket.create_server(("0.0.0.0", 4711)):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("192.0.2.1", 9))  # sends nothing, and has an address from now on
        print("address:", one.getsockname()[0], flush=True)
    time.sleep(600)
"""


CALLER = """
import socket
with socket.socket() as one:
    one.settimeout(5)
    one.connect_ex(("{}", 4711))
for line in open("/proc/net/arp"):
    if line.split()[0] == "{}":
        print("neighbour:", line.split()[2], line.split()[3])
"""


def test_steps_do_not_reach_each_other(builds: Builds) -> None:
    """They are on one bridge; not even who has an address is answered by another step."""
    sibling = builds.start(f"RUN /opt/server/bin/python <<'END'\n{LISTENER}\nEND")
    assert sibling.stdout is not None
    address = next(line.partition("address: ")[2].partition('"')[0] for line in sibling.stdout if "address: " in line)
    lines = builds.run(f"RUN /opt/server/bin/python <<'END'\n{CALLER.format(address, address)}\nEND")
    assert lines[-1]["type"] == "built", lines[-1]
    asked = [text for text in printed(lines) if text.startswith("neighbour: ")]
    assert asked == ["neighbour: 0x0 00:00:00:00:00:00"]
