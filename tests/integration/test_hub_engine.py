"""The spawner and the engine: fetching images by digest, volumes, containers left behind, an engine that is away."""

from __future__ import annotations

import asyncio
import io
import secrets
import subprocess
import sys
import tarfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
import requests

from deploy.hub.spawner import ProjectSpawner
from launcher.errors import SpawnFailed, SpawnRefused
from launcher.model import Account, ImageRef, Kind
from tests.fixtures.hub import BASE, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fixtures.hub import HubSite

pytestmark = pytest.mark.engine
SENTENCE = "The image lacks a program that its server needs to start; repolaunch-singleuser was to be run."
NOBODY = Account("", Kind.ANONYMOUS)


@dataclass(frozen=True)
class Private:
    """A registry that asks for a password."""

    host: str
    username: str
    password: str


# Debian's registry takes bcrypt only, which Python 3.11 makes with a module that warns of its end.
BCRYPT = (
    "import crypt,sys; print('launcher:' + crypt.crypt(sys.argv[1], crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=2**4)))"
)


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Private]:
    """A real registry on loopback."""
    password, port = secrets.token_hex(8), free_port()
    made = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BCRYPT, password], check=True, capture_output=True, text=True
    )
    (tmp_path / "htpasswd").write_text(made.stdout)
    (tmp_path / "config.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/registry}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\nauth: {{htpasswd: {{realm: r, path: {tmp_path}/htpasswd}}}}\n"
    )
    command = ["docker-registry", "serve", str(tmp_path / "config.yml")]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    for _ in range(100):
        try:
            requests.get(f"http://127.0.0.1:{port}/v2/", timeout=1)
            break
        except requests.ConnectionError:
            assert process.poll() is None
    yield Private(f"127.0.0.1:{port}", "launcher", password)
    process.terminate()
    process.wait(10)


def push_small_image(site: HubSite, registry: Private) -> ImageRef:
    """An image with one file in it, in the registry and no longer in the engine."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("readme"))
    name = f"{registry.host}/env"
    site.engine.api.import_image_from_data(packed.getvalue(), repository=name, tag="x")
    login = {"username": registry.username, "password": registry.password}
    lines = site.engine.api.push(name, "x", stream=True, decode=True, auth_config=login)
    digest = next(line["aux"]["Digest"] for line in lines if "aux" in line)
    site.engine.images.remove(f"{name}:x")
    return ImageRef(registry.host, "env", digest)


async def test_an_image_that_the_engine_does_not_have_is_fetched_by_its_digest(
    hub_site: HubSite, private: Private
) -> None:
    ref = await asyncio.to_thread(push_small_image, hub_site, private)
    project = hub_site.project()
    project = replace(project, image=replace(project.image, ref=ref))
    hub_site.stand_in.projects[project.id] = hub_site.with_facts(project, entrypoint=("/no-such-program",))
    # Without the password: a sentence, and nothing of the registry's address.
    with pytest.raises(SpawnFailed) as failed:
        await hub_site.sessions().start(project, NOBODY, lambda _: None)
    assert failed.value.reason == "The image could not be fetched from the registry."
    hub_site.stop_hub()
    hub_site.start_hub(registry_username=private.username, registry_password=private.password)
    told: list[Any] = []
    with pytest.raises(SpawnFailed) as failed:
        await hub_site.sessions().start(project, NOBODY, told.append)
    # It was fetched: there is only no server in it.
    assert failed.value.reason == SENTENCE
    assert "Fetching the image" in [event.message for event in told]
    hub_site.container(project).remove()
    hub_site.engine.images.remove(str(ref))


async def test_a_volume_of_that_name_over_another_folder_is_refused(hub_site: HubSite, tmp_path: Path) -> None:
    project = hub_site.project()
    hub_site.engine.volumes.create(
        f"repolaunch-{hub_site.installation}-{project.id}",
        driver_opts={"type": "none", "o": "bind", "device": str(tmp_path)},
        labels={"repolaunch.installation": hub_site.installation},
    )
    with pytest.raises(SpawnFailed) as failed:
        await hub_site.sessions().start(project, NOBODY, lambda _: None)
    assert failed.value.reason == "The workspace's volume leads to another folder; the operator has to look."


async def test_a_volume_that_nobody_foresaw_is_refused(hub_site: HubSite) -> None:
    """The image was looked into before, and found to have none: the hub looks again, at what it starts."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(secrets.token_hex(8)))
    name = f"localhost/repolaunch-test-{secrets.token_hex(4)}"
    hub_site.engine.api.import_image_from_data(packed.getvalue(), repository=name, changes=["VOLUME /a-disk"])
    try:
        project = hub_site.with_facts(hub_site.project(), engine_id=str(hub_site.engine.images.get(name).id))
        with pytest.raises(SpawnRefused) as refused:
            await hub_site.sessions().start(project, NOBODY, lambda _: None)
        assert refused.value.reason == "The image declares a volume that this session may not have."
    finally:
        hub_site.engine.images.remove(name)


async def test_a_folder_that_is_gone_starts_nothing_and_names_no_path(hub_site: HubSite) -> None:
    project = hub_site.project()
    device = hub_site.folder / "workspaces" / project.id
    hub_site.engine.volumes.create(
        f"repolaunch-{hub_site.installation}-{project.id}",
        driver_opts={"type": "none", "o": "bind", "device": str(device)},
        labels={"repolaunch.installation": hub_site.installation},
    )
    hub_site.stand_in.make_folders = False
    try:
        with pytest.raises(SpawnFailed) as failed:
            await hub_site.sessions().start(project, NOBODY, lambda _: None)
    finally:
        hub_site.stand_in.make_folders = True
    assert failed.value.reason == "The workspace is not where it should be, so no session was started."
    assert failed.value.tail == ()
    assert not device.exists()


async def test_a_container_left_running_is_ended_before_another_writes(hub_site: HubSite) -> None:
    project = hub_site.project()
    left = hub_site.engine.containers.run(
        BASE,
        ["sleep", "600"],
        labels={
            "repolaunch.installation": hub_site.installation,
            "repolaunch.project": project.id,
            "repolaunch.kind": "session",
        },
        detach=True,
    )
    await hub_site.sessions().start(project, NOBODY, lambda _: None)
    assert hub_site.container(project).id != left.id
    assert left.id not in {one.id for one in hub_site.engine.containers.list(all=True)}
    await hub_site.sessions().stop(project.id)


async def test_a_session_is_not_given_up_because_the_engine_is_away() -> None:
    class Away(ProjectSpawner):
        _client = None

    spawner = Away(client_kwargs={"base_url": f"tcp://127.0.0.1:{free_port()}"})
    assert await spawner.poll() == 0  # never started
    spawner.object_id = "0" * 64
    assert await spawner.poll() is None
