"""Killed at any instant, disk full, asker gone: a workspace is there whole or not at all, and nothing is left over."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import stat
import subprocess
import time
from typing import TYPE_CHECKING

import docker
import pytest

from launcher.errors import DiskFull, WorkspaceFailed
from launcher.operate.helper_container import CAPABILITIES, HelperContainer
from launcher.operate.installation import InstallationError
from launcher.projects.volumes import HelperVolumes, Patience
from tests.fixtures.volumes import BASE_IMAGE, Author, Helper, InContainer, folders_in, helper, new_id, status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from launcher.projects.volumes import Seed

pytestmark = pytest.mark.engine
FILES = 3000


@pytest.fixture(params=["process", "container"])
def own_helper(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Helper]:
    """A helper that the test may kill."""
    with helper(request.param, tmp_path / "own") as running:
        yield running


@pytest.fixture
def slow_seed(own_helper: Helper, author: Author) -> Seed:
    """The seed of a repository whose files take a while."""
    for number in range(FILES):
        author.write(f"d{number % 50}/f{number}", b"%d\n" % number * 100)
    author.commit()
    return author.checked_out(own_helper.folders.checkouts)


# In its container, where git dies with it; a helper outside one leaves git to end by itself.
@pytest.mark.parametrize("own_helper", ["container"], indirect=True)
@pytest.mark.parametrize("delay", [0.02, 0.25, 0.5])
async def test_killed_in_mid_seed(own_helper: Helper, slow_seed: Seed, delay: float) -> None:
    """Nothing half-made stays; whoever waits for the workspace gets it from the next helper, without asking again."""
    project = new_id()
    making = asyncio.create_task(own_helper.volumes.create(project, slow_seed))
    await asyncio.sleep(delay)
    await asyncio.to_thread(own_helper.starter.kill)
    whole = own_helper.workspace(project).exists()
    await asyncio.to_thread(own_helper.starter.start)
    # One that was whole may have been answered for just before the kill.
    assert await making in ({"before", "clone"} if whole else {"clone"})
    assert own_helper.unfinished() == []
    work = own_helper.workspace(project) / "work"
    assert await asyncio.to_thread(status, work) == ""
    assert sum(len(files) for _, _, files in os.walk(work) if ".git" not in _) >= FILES


async def test_an_asker_who_leaves_gets_no_workspace(own_helper: Helper, slow_seed: Seed) -> None:
    project = new_id()
    making = asyncio.create_task(own_helper.volumes.create(project, slow_seed))
    while not own_helper.unfinished():
        await asyncio.sleep(0.005)
    making.cancel()
    while own_helper.unfinished():
        await asyncio.sleep(0.02)
    assert not await own_helper.volumes.exists(project)


async def test_a_helper_that_is_away_is_waited_for(own_helper: Helper, author: Author) -> None:
    author.write("a")
    author.commit()
    seed = author.checked_out(own_helper.folders.checkouts)
    await asyncio.to_thread(own_helper.starter.kill)
    making = asyncio.create_task(own_helper.volumes.create(new_id(), seed))
    await asyncio.sleep(0.3)
    assert not making.done()
    await asyncio.to_thread(own_helper.starter.start)
    assert await making == "clone"


async def test_a_helper_that_stays_away_is_an_error(own_helper: Helper) -> None:
    await asyncio.to_thread(own_helper.starter.kill)
    folders = own_helper.folders
    volumes = HelperVolumes(
        folders.socket, folders.checkouts, folders.workspaces, own_helper.installation, Patience(connect=0.3)
    )
    with pytest.raises(WorkspaceFailed, match="does not answer"):
        await volumes.exists(new_id())


@pytest.mark.parametrize("own_helper", ["container"], indirect=True)
async def test_only_the_launcher_s_user_may_connect(own_helper: Helper) -> None:
    facts = own_helper.folders.socket.lstat()
    assert stat.S_ISSOCK(facts.st_mode)
    assert stat.S_IMODE(facts.st_mode) == 0o600
    assert (facts.st_uid, facts.st_gid) == (os.getuid(), os.getgid())


def ask(path: Path, sent: bytes, *, shut: bool = True) -> dict[str, object]:
    folder = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as asker:
        asker.settimeout(20)
        asker.connect(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        asker.sendall(sent)
        if shut:
            asker.shutdown(socket.SHUT_WR)
        answer: dict[str, object] = json.loads(asker.makefile().readline())
        return answer


NO_REQUESTS = [b"", b"\n", b"{}\n", b"[]\n", b"nonsense\n", b"\xff\xfe\n", b'{"verb":"delete"}\n', b"[" * 60000 + b"\n"]


@pytest.mark.parametrize("own_helper", ["process"], indirect=True)
async def test_nonsense_is_answered_and_harms_nobody(own_helper: Helper) -> None:
    for sent in [*NO_REQUESTS, b"x" * 100_000 + b"\n", b'{"verb":"health"}\n{"verb":"health"}\n']:
        answer = await asyncio.to_thread(ask, own_helper.folders.socket, sent)
        assert (answer["ok"], answer["code"]) == (False, "bad-request"), sent[:40]
    assert (await asyncio.to_thread(ask, own_helper.folders.socket, b'{"verb":"health"}\n', shut=False))["ok"] is True


@pytest.mark.parametrize("own_helper", ["process"], indirect=True)
async def test_silent_askers_do_not_keep_others_out(own_helper: Helper) -> None:
    silent = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    folder = os.open(own_helper.folders.run, os.O_PATH)
    for one in silent:
        one.connect(f"/proc/self/fd/{folder}/{own_helper.folders.socket.name}")
    os.close(folder)
    assert not await own_helper.volumes.exists(new_id())
    for one in silent:
        one.close()


# --------------------------------------------------------------------------- a full disk
@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose workspaces are on a disk of 8 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    root = tmp_path / "small"
    workspaces = folders_in(root).workspaces
    workspaces.mkdir(parents=True)
    image = tmp_path / "disk"
    with image.open("wb") as stream:
        stream.truncate(8 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-N", "512", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(workspaces)], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", str(workspaces)], check=True)


@pytest.mark.parametrize("kind", ["process", "container"])
@pytest.mark.parametrize("what", ["objects", "files", "inodes"])
async def test_a_full_disk(small_disk: Path, author: Author, kind: str, what: str) -> None:
    with helper(kind, small_disk) as running:
        author.write("small")
        author.commit()
        small = author.checked_out(running.folders.checkouts)
        if what == "inodes":
            for number in range(600):
                author.write(f"f{number}")
        else:
            # Noise does not fit as objects; repetition is small as an object and does not fit as a file.
            author.write("large", os.urandom(12 * 2**20) if what == "objects" else b"again " * 2**21)
        author.commit()
        large = author.checked_out(running.folders.checkouts)
        project = new_id()
        with pytest.raises(DiskFull, match="workspaces"):
            await running.volumes.create(project, large)
        assert running.unfinished() == []
        assert not await running.volumes.exists(project)
        assert await running.volumes.create(project, small) == "clone"


# --------------------------------------------------------------------------- the container
@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


def test_the_container_has_five_capabilities_and_no_network(client: docker.DockerClient, tmp_path: Path) -> None:
    with helper("container", tmp_path / "own") as running:
        assert isinstance(running.starter, InContainer)
        made = client.api.inspect_container(running.starter.helper.name)
        host = made["HostConfig"]
        assert host["NetworkMode"] == "none"
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert {name.removeprefix("CAP_") for name in host["CapAdd"]} == set(CAPABILITIES)
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert host["Privileged"] is False
        assert made["Config"]["Labels"]["repolaunch.installation"] == running.installation
        writable = {mount["Destination"] for mount in made["Mounts"] if mount["RW"]}
        assert writable == {"/workspaces", "/run/volumes"}


def test_ensure_again_keeps_the_container_and_another_image_replaces_it(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    folders = folders_in(tmp_path / "own")
    installation = secrets.token_hex(4)
    first = HelperContainer(client, installation, BASE_IMAGE, folders)
    other = ""
    try:
        first.ensure()
        made = client.containers.get(first.name).id
        first.ensure()
        assert client.containers.get(first.name).id == made
        client.containers.get(first.name).kill()
        first.ensure()
        assert client.containers.get(first.name).id == made
        tag = f"localhost/repolaunch-test/{installation}"
        changes = ["LABEL repolaunch.test=1"]
        client.containers.get(first.name).commit(repository=tag, tag="1", conf={"Labels": {"changed": str(changes)}})
        other = f"{tag}:1"
        HelperContainer(client, installation, other, folders).ensure()
        assert client.containers.get(first.name).id != made
    finally:
        first.stop()
        first.stop()
        if other:
            client.images.remove(other)
    with pytest.raises(docker.errors.NotFound):
        client.containers.get(first.name)


def test_a_missing_image_is_a_sentence(client: docker.DockerClient, tmp_path: Path) -> None:
    absent = HelperContainer(client, secrets.token_hex(4), "localhost/repolaunch/none:0", folders_in(tmp_path))
    with pytest.raises(InstallationError, match="none:0, is missing"):
        absent.ensure()


# --------------------------------------------------------------------------- how long
@pytest.mark.parametrize("own_helper", ["container"], indirect=True)
async def test_how_long_a_seed_takes(own_helper: Helper, author: Author, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(20):
        author.write(f"d{number % 4}/f{number}", os.urandom(3000))
    author.commit()
    small = author.checked_out(own_helper.folders.checkouts)
    for number in range(10_000):
        author.write(f"many/{number % 100}/f{number}", b"%d\n" % number)
    author.commit()
    many = author.checked_out(own_helper.folders.checkouts)
    took = {}
    for name, seed, times in (("20 files", small, 15), ("10,000 files", many, 3)):
        each = []
        for _ in range(times):
            began = time.perf_counter()
            await own_helper.volumes.create(new_id(), seed)
            each.append(time.perf_counter() - began)
        took[name] = sorted(each)[times // 2]
    with capsys.disabled():
        print(", ".join(f"seed of {name}: {seconds * 1000:.0f} ms" for name, seconds in took.items()))
    assert took["20 files"] < 0.5
    assert took["10,000 files"] < 30
