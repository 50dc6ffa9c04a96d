"""The data folder's disk full, in the midst of everything: a sentence, nothing lost, and on by itself afterwards.

One service on a small disk of its own; only its engine and its registry are elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from launcher.operate.installation import free_port
from tests.fixtures.faults import KEPT, MIB, at_work, collect, fine, full, metric, ready, said, until_ill
from tests.fixtures.own_engine import Disk, small_disk
from tests.fixtures.service import Service, Visitor, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fixtures.registry import RunningRegistry
    from tests.fixtures.repos import GitHost

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

PARTS = ("launcher", "hub", "proxy")
SIZE = 256 * MIB
FLOOR = 4 * MIB


@dataclass
class Small:
    """A service and the disk of its data folder."""

    service: Service
    disk: Disk


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, registry: RunningRegistry) -> Iterator[Small]:
    folder = tmp_path_factory.mktemp("small")
    env = {
        "REPOLAUNCH_REGISTRY": registry.host,
        "REPOLAUNCH_REGISTRY_TLS": "false",
        "REPOLAUNCH_DISK_FLOOR_BYTES": str(FLOOR),
    }
    with small_disk(folder / "disk", SIZE) as disk:
        one = Service(folder / "disk" / "data", free_port(), env)
        try:
            one.start()
            yield Small(one, disk)
        finally:
            disk.empty()
            one.remove()


@pytest.mark.long
async def test_too_little_room(small: Small, git_daemon: GitHost) -> None:
    """No new launch begins, what exists can be opened, and everybody who watches is told."""
    repo = fine(git_daemon)
    async with visiting(small.service) as visitor:
        await visitor.enter()
        async with at_work(visitor, repo.url) as (project, _, _):
            pass
        assert await metric(small.service, 'repolaunch_disk_free_bytes{place="data folder"}') > FLOOR
        small.disk.fill(leave=FLOOR - MIB)
        try:
            seen = await until_ill(small.service, "disk of the data folder")
            low = seen["disk of the data folder"]
            assert re.fullmatch(
                r"The disk of the data folder has [0-3] MiB free; a new launch begins only with 4 MiB or more\.", low
            )
            refused = await visitor.launch(fine(git_daemon).url, "main")
            assert said(refused[-1]) == ("disk-low", 507, "There is too little room on this server", low, KEPT)
            assert await metric(small.service, 'repolaunch_disk_free_bytes{place="data folder"}') < FLOOR
            async with at_work(visitor, repo.url) as (again, _, _):
                assert again == project
        finally:
            small.disk.empty()
        ready(await visitor.launch(fine(git_daemon).url, "main"))


async def test_in_mid_fetch_and_mid_seed(small: Small, git_daemon: GitHost) -> None:
    """Nothing half-made is left, and the next try finds nothing in its way."""
    noise = os.urandom(16 * MIB)
    repo = fine(git_daemon, files={"noise": noise})
    data = small.service.data
    async with visiting(small.service) as visitor:
        await visitor.enter()
        for leave, place in ((20 * MIB, "repositories' files"), (48 * MIB, "workspaces")):
            before = sorted(path.name for path in (data / "workspaces").iterdir())
            small.disk.fill(leave=leave)
            try:
                events = await visitor.launch(repo.url, "main")
                assert said(events[-1]) == full(place)
                assert [path.name for path in (data / "workspaces").iterdir() if path.name.startswith(".")] == []
                assert sorted(path.name for path in (data / "workspaces").iterdir()) == before
            finally:
                small.disk.empty()
        events = await visitor.launch(repo.url, "main")
        work = data / "workspaces" / ready(events) / "work"
        assert (work / "noise").read_bytes() == noise
        await visitor.call("DELETE", f"/api/v1/sessions/{ready(events)}")


async def test_in_mid_save(small: Small, git_daemon: GitHost) -> None:
    """A save is either kept or refused: what was saved before is there, whole."""
    async with visiting(small.service) as visitor:
        await visitor.enter()
        async with at_work(visitor, fine(git_daemon).url) as (_, session, kernel):
            await session.write("notes.txt", "first")
            # -- no room for a copy of what was there; room for that, and not for all that is new
            for leave in (0, MIB // 4):
                small.disk.fill(leave)
                try:
                    body = {"type": "file", "format": "text", "content": "second " * 100_000}
                    where = f"{session.prefix}api/contents/notes.txt"
                    async with session.http.put(where, json=body, headers=session.headers) as answer:
                        assert answer.status == 500
                        assert "No space left on device" in (await answer.json())["message"]
                    assert await session.read("notes.txt") == "first"
                    assert await session.run_in(kernel, "print(7)") == "7\n"
                finally:
                    small.disk.empty()
            await session.write("notes.txt", "third")
            assert await session.read("notes.txt") == "third"


def checkpoint(database: Path) -> None:
    """No room is left in the database's own log: the next change has to ask the disk."""
    where = f"{database.as_uri()}?mode=rw"  # one that is not there is an error, not a new one
    with contextlib.closing(sqlite3.connect(where, timeout=10, uri=True)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


async def test_databases(small: Small, git_daemon: GitHost) -> None:
    """What cannot be kept is refused with a sentence; what is under way waits, and is told without a gap."""
    # It builds for as long as the disk is full: its own last step writes to the data folder.
    slow = fine(git_daemon, "RUN for n in $(seq 12); do echo step-$n; sleep 2; done\n")
    service, data = small.service, small.service.data
    pids = {name: service.child(name).pid for name in PARTS}
    async with visiting(service) as visitor, visiting(service) as late:
        await visitor.enter()
        _, launch = await visitor.post("/api/v1/launches", {"url": slow.url, "ref": "main"})
        events: list[dict[str, Any]] = []
        watching = asyncio.create_task(collect(visitor, launch["id"], events))
        async with asyncio.timeout(120):
            while "step-1" not in str(events):  # from here on the build needs nothing of the data folder
                await asyncio.sleep(0.1)
        checkpoint(data / "launcher" / "repolaunch.sqlite")
        small.disk.fill()
        try:
            await without_room(visitor, late, fine(git_daemon).url)
            assert not watching.done()
        finally:
            small.disk.empty()
        await watching
        ready(events)
        assert [event["n"] for event in events] == list(range(1, len(events) + 1))
        assert [f"step-{n}" in str(events) for n in range(1, 13)] == [True] * 12
        await late.enter()
        ready(await late.launch(fine(git_daemon).url, "main"))
    assert pids == {name: service.child(name).pid for name in PARTS}


async def without_room(visitor: Visitor, late: Visitor, url: str) -> None:
    """Who launches, and who comes, is told of the disk, and nothing else."""
    status, answer = await visitor.post("/api/v1/launches", {"url": url, "ref": "main"})
    assert (status, said(answer["error"])) == (507, full("database"))
    async with late.http.get("/api/v1/login", params={"next": "/"}) as page:
        text = re.sub(r"\s+", " ", await page.text())
        assert page.status >= 500
    assert "There is no room left on the disk of the database. What was saved before is kept." in text
    assert "Try again later. Operators: make room; “repolaunch doctor” shows where." in text
