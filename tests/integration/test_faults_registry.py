"""The registry's disk full in mid-push: the launch does not notice, the build's log tells, and it is done later."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from launcher.operate.installation import free_port
from tests.fixtures.faults import MIB, at_work, fine, image_of
from tests.fixtures.own_engine import small_disk
from tests.fixtures.registry import running_registry
from tests.fixtures.service import Service, visiting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fixtures.repos import GitHost

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(600)]


async def test_in_mid_push(tmp_path: Path, git_daemon: GitHost) -> None:
    """The launch does not notice; the build's log tells; the push is done when there is room again."""
    with small_disk(tmp_path / "disk", 512 * MIB) as disk, running_registry(tmp_path / "disk") as registry:
        disk.fill(leave=32 * MIB)
        env = {"REPOLAUNCH_REGISTRY": registry.host, "REPOLAUNCH_REGISTRY_TLS": "false"}
        one = Service(tmp_path / "data", free_port(), env)
        try:
            one.start()
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
