"""The container engine killed, hung and filled: what people are told, what lives on, and that all goes on afterwards.

On an engine of the test's own (tests/fixtures/own_engine.py), under a service that uses it for everything.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from launcher.operate.installation import free_port
from tests.fixtures.faults import MIB, at_work, containers, counted, fine, ready, said, states, until_ill
from tests.fixtures.service import Service, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.own_engine import OwnEngine
    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import SessionClient

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

LATER = "Try again in a few minutes. Operators: run `repolaunch doctor`."
KEPT = (
    "Try again later: links that you have opened before still lead to your files. "
    "Operators: make room; `repolaunch doctor` shows where."
)
FULL = "A disk of this server is full"
SEEN = "There is no room left on the disk of the container engine. What was saved before is kept."
ROOM = "Try again later. Operators: make room; `repolaunch doctor` shows where."
FLOOR = 64 * MIB
HANGS_S = 15.0


@pytest.fixture(scope="module")
def served(own_engine: OwnEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on the engine of our own."""
    env = {**own_engine.env, "REPOLAUNCH_DISK_FLOOR_BYTES": str(FLOOR)}
    one = Service(tmp_path_factory.mktemp("faults") / "data", free_port(), env)
    try:
        one.start()
        yield one
    finally:
        one.stop()  # what it leaves in the engine goes with the engine
        shutil.rmtree(one.data, ignore_errors=True)


# --------------------------------------------------------------------------- killed
async def test_killed(served: Service, own_engine: OwnEngine, git_daemon: GitHost) -> None:
    """Sessions answer and save throughout; launches say what is away; afterwards all is as it was."""
    async with visiting(served) as visitor:
        await visitor.enter()
        async with at_work(visitor, fine(git_daemon).url) as (project, session, kernel):
            before = containers(served)
            own_engine.kill()
            try:
                assert await counted(session, kernel) == 1
                told = await until_ill(served, "Docker engine")
                assert told == {"Docker engine": "Nothing listens at its address."}
                title, seen = "The container engine does not answer", "Nothing listens at its address."
                away = await visitor.launch(fine(git_daemon).url, "main")
                assert said(away[-1]) == ("engine-down", 503, title, seen, LATER)
                assert (await states(visitor))[project] == "running"
                await session.write("kept.txt", "kept")
            finally:
                own_engine.start()
            assert await until_ill(served) == {}
            assert await counted(session, kernel) == 2
            assert await session.read("kept.txt") == "kept"
            assert containers(served) == before
            async with at_work(visitor, fine(git_daemon).url) as (another, _, _):
                assert containers(served).keys() == before.keys() | {another}
                assert await states(visitor) == {project: "running", another: "running"}
        assert containers(served) == {}
        assert await states(visitor) == {project: "stopped", another: "stopped"}


# --------------------------------------------------------------------------- hung
async def test_hung_for_a_while(served: Service, own_engine: OwnEngine, git_daemon: GitHost) -> None:
    """Launches wait and go on by themselves; nothing is doubled; everybody else notices nothing."""
    async with visiting(served) as visitor:
        await visitor.enter()
        repo = fine(git_daemon)
        async with at_work(visitor, repo.url) as (project, _, _):
            pass
        async with at_work(visitor, fine(git_daemon).url) as (busy, session, kernel):
            began = time.monotonic()
            with own_engine.hung():
                waiting = [asyncio.create_task(visitor.launch(url, "main")) for url in (repo.url, fine(git_daemon).url)]
                told = await until_ill(served, "Docker engine")
                assert told == {"Docker engine": "No answer within 5 seconds."}
                while time.monotonic() - began < HANGS_S:
                    await moving(session, kernel)
                assert not any(one.done() for one in waiting)
            again, new = [ready(await one) for one in waiting]
            assert again == project
            assert containers(served).keys() == {project, busy, new}
            assert await states(visitor) == {project: "running", busy: "running", new: "running"}
            assert await until_ill(served) == {}
            for one in (project, new):
                assert (await visitor.call("DELETE", f"/api/v1/sessions/{one}"))[0] == 204


async def moving(session: SessionClient, kernel: str) -> None:
    """Neither the launcher nor the hub nor a session waits for the engine."""
    async with asyncio.timeout(10):
        await counted(session, kernel)
        for path in ("/versions", "/hub/api/"):
            async with session.http.get(path) as answer:
                assert answer.status == 200, path
    await asyncio.sleep(0.3)


# --------------------------------------------------------------------------- filled
@pytest.mark.long
async def test_filled_by_a_build(served: Service, own_engine: OwnEngine, git_daemon: GitHost) -> None:
    """It says at which step, and whose disk; the next try finds nothing in its way."""
    step = "RUN head -c 300M /dev/zero > /tmp/large"
    repo = fine(git_daemon, f"{step}\n")
    async with visiting(served) as visitor:
        await visitor.enter()
        own_engine.disk.fill(leave=2 * FLOOR)
        try:
            failed = await visitor.launch(repo.url, "main")
        finally:
            own_engine.disk.empty()
        code, status, title, seen, todo = said(failed[-1])
        assert (code, status, title, todo) == ("disk-full", 507, FULL, ROOM)
        assert seen.startswith(f"{SEEN}\nStep: [3/3] {step}\nIts last lines:\n")
        assert "No space left on device" in seen
        ready(await visitor.launch(repo.url, "main"))
