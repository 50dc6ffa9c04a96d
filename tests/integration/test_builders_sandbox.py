"""The pair of containers that strangers' expressions run in: who may do what, and that nothing is left of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builders import sandbox_commands
from builders.errors import BuildBroken
from builders.leftovers import PROCESS, sweep
from builders.nix.tool import NIX, VERSION
from builders.sandbox import daemon, evaluator
from builders.variables import BUILD_ENGINE
from tests.fixtures.nix import say

if TYPE_CHECKING:
    import docker

    from builders.interface import Workshop
    from tests.fixtures.build_engine import RunningBuildEngine

pytestmark = pytest.mark.engine
LOOK = """
derivation {
  name = "look"; system = "x86_64-linux"; builder = "/bin/sh";
  args = [ "-c" ''
    while read -r line; do case $line in *:*) names="$names''${line%%:*}";; esac; done </proc/net/dev
    while read -r key value _; do case $key in Uid:) uid=$value;; esac; done </proc/self/status
    echo "$(echo /*)|$(echo /etc/*)|$names|$uid" >$out
  '' ];
}
"""
ROOT = Path(__file__).parents[2]


def left(engine: docker.DockerClient, installation: str) -> list[str]:
    found = engine.containers.list(all=True, filters={"label": f"repolaunch.installation={installation}"})
    return [one.status for one in found]


async def test_what_the_evaluator_may_do(workshop: Workshop, engine: docker.DockerClient, installation: str) -> None:
    ways = {
        "uid": "id -u",
        "capabilities": "grep CapBnd /proc/self/status",
        "network": "cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '",
        "root": "touch /x /usr/x",
        "store": "touch /nix/store/x /nix/var/x",
        "sockets": "touch /run/daemon/x; rm -f /run/daemon/socket",
        "source": "touch /source/x",
        "work": "ls /work",
        "version": "nix --version",
        "trusted": "nix store info",
    }
    async with daemon(NIX, workshop, network=False) as of:
        status, text = await say(
            of, "sh", "-c", "".join(f"echo '# {name}'; {{ {way}; }} 2>&1\n" for name, way in ways.items())
        )
        assert left(engine, installation).count("running") == 1
    assert status == 0
    said = {part.split("\n")[0]: part for part in text.split("# ")[1:]}
    assert said["uid"] == "uid\n1001\n"
    assert said["capabilities"].split()[-1] == "0" * 16
    assert said["network"] == "network\nlo\n"
    for name, refused in {"root": 2, "store": 2, "sockets": 2, "source": 1}.items():
        assert said[name].count("Read-only file system") == refused, said[name]
    assert "cannot access '/work'" in said["work"]
    assert said["version"].split()[-1].startswith(f"{VERSION}.")
    assert "Trusted: 0" in said["trusted"]
    assert left(engine, installation) == []
    assert list((workshop.stores / "run").iterdir()) == []


async def test_every_step_is_in_a_sandbox(workshop: Workshop) -> None:
    async with daemon(NIX, workshop, network=False) as of:
        (of.folder / "source" / "look.nix").write_text(LOOK)
        build = ("nix-build", "--no-out-link", "--option", "pure-eval", "false", "/source/look.nix")
        # A wish of the evaluator's: it is not trusted.
        status, text = await say(of, *build, "--option", "sandbox", "false")
    assert status == 0, text
    built = text.splitlines()[-1]
    root, etc, network, uid = (workshop.stores / built.removeprefix("/")).read_text().strip().split("|")
    assert root == "/bin /build /dev /etc /nix /proc /tmp"
    assert etc == "/etc/group /etc/hosts /etc/passwd"
    assert (network, uid) == ("lo", "1000")


async def test_without_a_sandbox_nothing_is_built(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """On an engine that forbids what a sandbox needs: here, a /proc of its own."""
    monkeypatch.setattr(sandbox_commands, "_UNMASKED", ())
    async with daemon(NIX, workshop, network=False) as of:
        (of.folder / "source" / "look.nix").write_text(LOOK)
        status, text = await say(of, "nix-build", "--no-out-link", "--option", "pure-eval", "false", "/source/look.nix")
    assert status != 0
    assert "sandbox" in text


async def test_memory_is_limited(workshop: Workshop) -> None:
    small = replace(workshop, limits=replace(workshop.limits, memory=256 * 2**20))
    async with daemon(NIX, small, network=False) as of:
        async with evaluator(of, ("sh", "-c", "head -c 1000000000 /dev/zero >/tmp/x")) as running:
            ending = await running.ending()
        assert (ending.status, ending.out_of_memory) == (137, True)
        assert not await of.out_of_memory()


async def test_no_image(workshop: Workshop) -> None:
    with pytest.raises(BuildBroken, match=r"^the image localhost/repolaunch/none:1 is missing$"):
        async with daemon(replace(NIX, image="localhost/repolaunch/none:1"), workshop, network=False) as of:
            await say(of, "true")


async def test_nothing_is_left_when_it_is_cancelled(
    workshop: Workshop, engine: docker.DockerClient, installation: str
) -> None:
    began = asyncio.Event()

    async def work() -> None:
        async with daemon(NIX, workshop, network=False) as of, evaluator(of, ("sh", "-c", "echo; sleep 1000")) as it:
            async for _ in it.child.lines():
                began.set()

    task = asyncio.create_task(work())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left(engine, installation) == []
    assert list((workshop.stores / "run").iterdir()) == []


async def test_nothing_is_left_when_it_is_cancelled_while_it_starts(
    workshop: Workshop, engine: docker.DockerClient, installation: str
) -> None:
    """At moments in which the engine has been asked for a container, and has not made it or not started it."""

    async def cut_short(after_s: float) -> None:
        async def work() -> None:
            async with daemon(NIX, workshop, network=False) as of, evaluator(of, ("sleep", "1000")) as it:
                begun.set()
                await it.child.wait()

        begun = asyncio.Event()
        task = asyncio.create_task(work())
        await begun.wait()
        await asyncio.sleep(after_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    for after_s in (0, 0.03, 0.1, 0.3):
        await cut_short(after_s)
    assert left(engine, installation) == []
    await asyncio.sleep(2)
    assert left(engine, installation) == []
    assert list((workshop.stores / "run").iterdir()) == []


def test_what_threads_have_left_is_removed_by_the_mark_of_their_process(
    engine: docker.DockerClient, installation: str
) -> None:
    ours, other = f"{installation}-ours", f"{installation}-other"
    for name in (ours, other):
        marks = {"repolaunch.installation": installation, PROCESS: name}
        engine.api.create_container(NIX.image, ["/never-run"], labels=marks)
    try:
        sweep(f"{PROCESS}={ours}", None)
        found = engine.containers.list(all=True, filters={"label": f"repolaunch.installation={installation}"})
        assert [one.labels[PROCESS] for one in found] == [other]
    finally:
        sweep(f"{PROCESS}={other}", None)
    assert left(engine, installation) == []


HELD = """
import asyncio, json, sys
from pathlib import Path
from builders.interface import Workshop
from builders.nix.tool import NIX
from builders.sandbox import daemon, evaluator
async def main():
    workshop = Workshop(Path(sys.argv[1]), json.loads(sys.argv[2]))
    async with daemon(NIX, workshop, network=False) as of, evaluator(of, ("sh", "-c", "echo ready; sleep 1000")) as it:
        async for line in it.child.lines():
            print(line, flush=True)
asyncio.run(main())
"""


async def test_containers_end_with_a_killed_builder(
    workshop: Workshop, engine: docker.DockerClient, installation: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HELD, str(workshop.stores), json.dumps(dict(workshop.marks))),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"ready\n"
        assert left(engine, installation) == ["running", "running"]
    finally:
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    async with asyncio.timeout(60):
        while left(engine, installation) != ["exited", "exited"]:
            await asyncio.sleep(0.2)
    # Its folder goes with the next pair; that of one that lives stays, however old.
    (folder,) = (workshop.stores / "run").iterdir()
    os.utime(folder, (0, 0))
    async with daemon(NIX, workshop, network=False) as of:
        assert list((workshop.stores / "run").iterdir()) == [of.folder]
        os.utime(of.folder, (0, 0))
        async with daemon(NIX, workshop, network=False) as other:
            assert set((workshop.stores / "run").iterdir()) == {of.folder, other.folder}


async def test_behind_the_walls_of_the_build_engine(
    workshop: Workshop,
    build_engine: RunningBuildEngine,
    engine: docker.DockerClient,
    installation: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(BUILD_ENGINE, str(build_engine.folder))
    walled = replace(workshop, stores=build_engine.stores)
    async with daemon(NIX, walled, network=True) as of:
        assert left(engine, installation) == []  # not in the sessions' engine
        (of.source / "look.nix").write_text(LOOK)
        status, text = await say(of, "nix-build", "--no-out-link", "--option", "pure-eval", "false", "/source/look.nix")
        assert status == 0, text
        root = (walled.stores / text.splitlines()[-1].removeprefix("/")).read_text().split("|")[0]
        assert root == "/bin /build /dev /etc /nix /proc /tmp"
        for address in ("169.254.169.254", "10.0.0.1"):
            status, said = await say(of, "curl", "--silent", "--show-error", f"http://{address}/", network=True)
            assert (status, "Failed to connect" in said) == (7, True), said
    assert list((walled.stores / "run").iterdir()) == []
