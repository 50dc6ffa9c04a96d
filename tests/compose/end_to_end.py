"""The compose file on the engine, end to end: `make test-compose`, which builds the image from this checkout first."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import subprocess
import time
import uuid
from typing import TYPE_CHECKING

import aiohttp
import docker
import pytest

from launcher.operate.installation import free_port
from launcher.operate.part import PARTS
from tests.fixtures.registry import _certificate
from tests.fixtures.service import ROOT, Service, phases, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fixtures.repos import GitHost

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]
FILE = ROOT / "deploy" / "compose" / "compose.yaml"
SOCKET = "/var/run/docker.sock"


class Composed:
    """One project of compose."""

    def __init__(self, service: Service, environ: dict[str, str]) -> None:
        self.service, self.environ = service, environ

    def __call__(self, *arguments: str) -> str:
        argv = ["docker", "compose", "-f", str(FILE), *arguments]
        done = subprocess.run(argv, env={**os.environ, **self.environ}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

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
        f'tls_certificate = "{pair.certificate_file}"\ntls_key = "{pair.key_file}"\n'
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
        docker.from_env().images.remove(image, force=True)


async def test_the_compose_file_end_to_end(composed: Composed, git_daemon: GitHost) -> None:
    """A launch by https, a kernel by wss; one part after the other is made anew while the session answers."""
    await composed.answers()
    assert set(composed("ps", "--services").split()) == set(PARTS)
    with_engine = set()
    client = docker.from_env()
    for part in PARTS:
        (container,) = client.containers.list(
            filters={"label": [f"com.docker.compose.project={composed.environ['REPOLAUNCH_NAME']}",
                               f"com.docker.compose.service={part}"]}
        )  # fmt: skip
        if SOCKET in {mount["Destination"] for mount in container.attrs["Mounts"]}:
            with_engine.add(part)
        assert container.attrs["HostConfig"]["CapDrop"] == ["ALL"]
        assert container.attrs["HostConfig"]["ReadonlyRootfs"]
    assert with_engine == {"ground", "hub", "worker"}
    repo = git_daemon.make_repo(files={"Dockerfile": f"FROM localhost/repolaunch/base:1\nRUN echo {time.time_ns()}\n"})
    async with visiting(composed.service) as visitor:
        await visitor.enter()
        events = await visitor.launch(repo.url)
        assert phases(events)[-1] == "ready", events[-1]
        session = await visitor.session(events[-1]["url"])
        assert await session.run("print(6 * 7)") == "42\n"
        await session.write("mine.txt", "kept")
        for part in ("launcher", "worker", "hub", "proxy"):
            await asyncio.to_thread(composed, "up", "-d", "--no-deps", "--force-recreate", part)
            await composed.answers()
            assert await session.read("mine.txt") == "kept"
        again = await visitor.launch(repo.url)
        assert (again[-1]["type"], again[-1]["project"]) == ("ready", events[-1]["project"])
