"""The registry's disk full in mid-push, and a registry that stops in the midst of an image."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from launcher.operate.installation import free_port
from tests.fixtures.faults import MIB, at_work, fine, forget, image_of, on, pushed, remove_image, said
from tests.fixtures.own_engine import small_disk
from tests.fixtures.registry import running_registry
from tests.fixtures.service import Service, visiting
from tests.fixtures.stalling import stalling

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fixtures.own_engine import OwnEngine
    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Visitor

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(600)]

NOT_STARTED = ("spawn-failed", 500, "The session did not start")


async def test_in_mid_push(tmp_path: Path, git_daemon: GitHost) -> None:
    """The launch does not notice; the build's log tells; the push is done when there is room again."""
    with small_disk(tmp_path / "disk", 512 * MIB) as disk, running_registry(tmp_path / "disk") as registry:
        disk.fill(leave=32 * MIB)
        env = {"REPOLAUNCH_REGISTRY": registry.host, "REPOLAUNCH_REGISTRY_TLS": "false"}
        one = Service(tmp_path / "data", free_port(), env)
        try:
            await asyncio.to_thread(one.start)
            async with visiting(one) as visitor:
                await visitor.enter()
                async with at_work(visitor, fine(git_daemon).url) as (project, _, _):
                    away = f"The image registry does not answer. Asking {registry.host} failed: "
                    why = "received unexpected HTTP status: 500 Internal Server Error. Tried again in 1 s."
                    await pushes(one, lambda texts: f"{away}{why}" in texts)
                    assert "@" not in await image_of(visitor, project)
                    disk.empty()
                    told = await pushes(one, lambda texts: texts[-1].startswith("Pushed as "))
                    image = told[-1].removeprefix("Pushed as ").rstrip(".")
                    assert await image_of(visitor, project) == image
                    assert image.startswith(f"{registry.host}/repolaunch/env@sha256:")
        finally:
            disk.empty()
            one.remove()


async def test_that_stops_half_way(tmp_path: Path, own_engine: OwnEngine, git_daemon: GitHost) -> None:
    """A session's start ends with a sentence; the next one, when the registry goes on, finds nothing in its way."""
    repo = fine(git_daemon, "RUN head -c 40M /dev/urandom > /tmp/large\n")
    (tmp_path / "registry").mkdir()
    with running_registry(tmp_path / "registry") as registry:
        async with stalling(registry.host) as relay:
            env = {**on(own_engine), "REPOLAUNCH_REGISTRY": relay.address, "REPOLAUNCH_REGISTRY_TLS": "false"}
            service = Service(tmp_path / "data", free_port(), env)
            try:
                await asyncio.to_thread(service.start)
                async with visiting(service) as visitor:
                    await visitor.enter()
                    async with at_work(visitor, repo.url) as (project, _, _):
                        image = await pushed(visitor, project)
                    await asyncio.to_thread(forget, own_engine, project)
                    await asyncio.to_thread(remove_image, own_engine, image)
                    relay.most = MIB
                    failed = await patient(visitor, repo.url)
                    assert relay.stalled.is_set()
                    assert said(failed[-1])[:4] == (*NOT_STARTED, "The registry stopped sending the image.")
                    relay.most = None
                    async with at_work(visitor, repo.url) as (again, _, _):
                        assert again == project
            finally:
                await asyncio.to_thread(service.stop)
                shutil.rmtree(service.data, ignore_errors=True)


async def patient(visitor: Visitor, url: str) -> list[dict[str, Any]]:
    """Launch, and follow for longer than one request of a visitor may take."""
    status, launch = await visitor.post("/api/v1/launches", {"url": url, "ref": "main"})
    assert status == 201, launch
    while True:
        with contextlib.suppress(TimeoutError):
            return [event async for event in visitor.follow(launch["id"])]


async def pushes(service: Service, wanted: Callable[[list[str]], bool]) -> list[str]:
    """What the builds' logs tell of pushes, once it is as `wanted`."""
    texts: list[str] = []
    async with asyncio.timeout(300):
        while not texts or not wanted(texts):
            await asyncio.sleep(1)
            where = f"{(service.data / 'launcher' / 'repolaunch.sqlite').as_uri()}?mode=ro"
            with contextlib.closing(sqlite3.connect(where, timeout=10, uri=True)) as connection:
                rows = connection.execute("SELECT body FROM events WHERE body LIKE '%push%' ORDER BY at").fetchall()
            events = [json.loads(body) for (body,) in rows]
            texts = [event["message"] for event in events if event.get("stage") == "push"]
    return texts
