"""The compose file on the engine, end to end: `make test-compose`, which builds the image from this checkout first."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import ssl
import subprocess
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import docker
import psutil
import pytest

from builders.server import CACHE, CURRENT, PUBLIC_KEY, kept_folder
from launcher.operate.installation import free_port
from launcher.operate.part import PARTS
from tests.fixtures.authors import ANALYSIS, ANSWER, CELL, layouts, publish
from tests.fixtures.registry import _certificate
from tests.fixtures.service import ROOT, Service, phases, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker.models.containers import Container

    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import SessionClient, Visitor

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]
FILE = ROOT / "deploy" / "compose" / "compose.yaml"
SOCKET = "/var/run/docker.sock"
LAUNCHER_USER = 3988
"""deploy/images/service/Dockerfile says it."""
ONE_BY_ONE = ("launcher", "worker", "hub", "registry", "ground", "proxy")


class Composed:
    """One project of compose."""

    def __init__(self, service: Service, environ: dict[str, str]) -> None:
        self.service, self.environ = service, environ

    def __call__(self, *arguments: str) -> str:
        argv = ["docker", "compose", "-f", str(FILE), *arguments]
        done = subprocess.run(argv, env={**os.environ, **self.environ}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def container(self, part: str) -> Container:
        """The container of one part."""
        name = f"com.docker.compose.project={self.environ['REPOLAUNCH_NAME']}"
        labels = [name, f"com.docker.compose.service={part}"]
        (found,) = docker.from_env().containers.list(filters={"label": labels})
        return found

    def processes(self, part: str) -> list[psutil.Process]:
        """The part's own, without the first of the container, which only reaps."""
        return psutil.Process(self.container(part).attrs["State"]["Pid"]).children(recursive=True)

    async def answers(self) -> None:
        deadline = time.monotonic() + 240
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self.service.tls or True)) as http:
            while time.monotonic() < deadline:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"{self.service.base_url}/health") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.5)
        raise AssertionError(self("logs", "--tail", "20")[-4000:])


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Composed]:
    """All parts, with an image of their own and a certificate."""
    etc = tmp_path / "etc"
    etc.mkdir()
    pair = _certificate(etc)
    service = Service(tmp_path / "data", free_port(), tls=ssl.create_default_context(cafile=str(pair.certificate_file)))
    service.data.mkdir(mode=0o700)
    (etc / "settings.toml").write_text(
        f'port = {service.port}\nallowed_networks = ["127.0.0.0/8"]\n'
        f'tls_certificate = "{pair.certificate_file}"\ntls_key = "{pair.key_file}"\n{a_cache(service.data)}'
    )
    name = f"rl{uuid.uuid4().hex[:8]}"
    image = f"localhost/repolaunch/service:{name}"
    subprocess.run([str(ROOT / "deploy" / "compose" / "build.sh"), image], check=True)
    one = Composed(
        service,
        {
            "REPOLAUNCH_NAME": name,
            "REPOLAUNCH_IMAGE": image,
            "REPOLAUNCH_DATA": str(service.data),
            "REPOLAUNCH_SETTINGS": str(etc / "settings.toml"),
            "REPOLAUNCH_ETC": str(etc),
        },
    )
    try:
        one("up", "-d")
        yield one
    finally:
        one("down", "--timeout", "60")
        service.remove()
        for name in dict.fromkeys((one.environ["REPOLAUNCH_IMAGE"], image)):
            docker.from_env().images.remove(name, force=True)


def a_cache(data: Path) -> str:
    """The line that names a binary cache of what set-up kept, which lies among the stores."""
    kept = kept_folder() / CURRENT
    shutil.copytree(kept / CACHE, data / "stores" / "kept")
    listed = json.dumps([{"folder": "kept", "key": (kept / PUBLIC_KEY).read_text().strip()}])
    return f"nix_caches = '{listed}'\n"


def the_launcher_owns_little(composed: Composed) -> None:
    """It is a user without any capability, in no other group, who is told no password and may not read the secrets."""
    processes = composed.processes("launcher")
    assert processes
    password = (composed.service.data / "secrets" / "registry-password").read_text().strip()
    for one in processes:
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{one.pid}/status").read_text().splitlines())
        assert set(status["Uid"].split()) == {str(LAUNCHER_USER)}
        assert set(status["Gid"].split()) == {str(LAUNCHER_USER)}
        assert status["Groups"].split() in ([], [str(LAUNCHER_USER)])
        assert [int(status[name], 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")] == [0] * 4
        assert status["NoNewPrivs"] == "1"
        assert password not in str(one.environ())
        assert not [name for name in one.environ() if name.startswith("DOCKER")]
    look = f"cat {composed.service.data}/secrets/* {composed.service.data}/hub/*.sqlite"
    code, _ = composed.container("launcher").exec_run(["sh", "-c", look], user=str(LAUNCHER_USER))
    assert code != 0


@contextlib.contextmanager
def another_image(composed: Composed) -> Iterator[str]:
    """What `build.sh` makes of a new version, of the same files: the compose project uses it from now on."""
    name = f"{composed.environ['REPOLAUNCH_IMAGE']}-new"
    text = f"FROM {composed.environ['REPOLAUNCH_IMAGE']}\nENV VERSION_OF_THE_TEST={uuid.uuid4().hex}\n"
    made, _ = docker.from_env().images.build(fileobj=io.BytesIO(text.encode()), tag=name, rm=True)
    composed.environ["REPOLAUNCH_IMAGE"] = name
    yield str(made.id)


async def read(session: SessionClient, name: str) -> str:
    """As soon as the session can ask the new hub who we are."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(AssertionError):  # 503, Reconnecting
                return await session.read(name)
            await asyncio.sleep(1)


async def a_flake_launches(visitor: Visitor, git_daemon: GitHost) -> None:
    """The stores, the server's own closure and the build engine are at their places."""
    events = await visitor.launch(publish(git_daemon, layouts(ANALYSIS)["flake binder"]).url, "main")
    assert phases(events)[-1] == "ready", json.dumps(events[-10:])
    assert await (await visitor.session(events[-1]["url"])).run(CELL) == ANSWER


async def test_the_compose_file_end_to_end(composed: Composed, git_daemon: GitHost) -> None:
    """A launch by https, a kernel by wss; one part after the other is made anew while the session answers."""
    await composed.answers()
    assert set(composed("ps", "--services").split()) == set(PARTS)
    with_engine = set()
    for part in PARTS:
        container = composed.container(part)
        if SOCKET in {mount["Destination"] for mount in container.attrs["Mounts"]}:
            with_engine.add(part)
        assert container.attrs["HostConfig"]["CapDrop"] == ["ALL"]
        assert container.attrs["HostConfig"]["ReadonlyRootfs"]
    assert with_engine == {"ground", "hub", "worker"}
    the_launcher_owns_little(composed)
    repo = git_daemon.make_repo(files={"Dockerfile": f"FROM localhost/repolaunch/base:1\nRUN echo {time.time_ns()}\n"})
    async with visiting(composed.service) as visitor:
        await visitor.enter()
        events = await visitor.launch(repo.url)
        assert phases(events)[-1] == "ready", events[-1]
        session = await visitor.session(events[-1]["url"])
        assert await session.run("print(6 * 7)") == "42\n"
        await session.write("mine.txt", "kept")
        kernel = await session.kernel()
        assert await session.run_in(kernel, "kept = 6 * 7") == ""
        await a_flake_launches(visitor, git_daemon)
        with another_image(composed) as image:
            for number, part in enumerate(ONE_BY_ONE):
                await asyncio.to_thread(composed, "up", "-d", "--no-deps", part)
                await composed.answers()
                new = [one for one in ONE_BY_ONE if composed.container(one).attrs["Image"] == image]
                assert new == list(ONE_BY_ONE[: number + 1]), "each is upgraded alone"
                assert await read(session, "mine.txt") == "kept"
                assert await session.run_in(kernel, "print(kept)") == "42\n"
            the_launcher_owns_little(composed)
            again = await visitor.launch(repo.url)
            assert (again[-1]["type"], again[-1]["project"]) == ("ready", events[-1]["project"])
