"""The container engine killed and hung: what people are told, what lives on, and that all goes on afterwards.

On an engine of the test's own (tests/fixtures/own_engine.py), under a service that uses it for everything.
Filled: test_faults_filled.py.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.fixtures.faults import (
    LATER,
    at_work,
    containers,
    counted,
    fine,
    ills,
    on,
    ready,
    said,
    states,
    until_ill,
)
from tests.fixtures.service import serving, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.own_engine import OwnEngine
    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service, SessionClient, Visitor

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(600)]

TITLE = "The container engine does not answer"
HANGS_S = 15.0
LONG_S = 75.0
"""Longer than any question to the engine waits."""


@pytest.fixture(scope="module")
def served(own_engine: OwnEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on the engine of our own."""
    with serving(tmp_path_factory.mktemp("faults") / "data", on(own_engine)) as one:
        yield one


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
                seen = "Nothing listens at its address."
                away = await visitor.launch(fine(git_daemon).url, "main")
                assert said(away[-1]) == ("engine-down", 503, TITLE, seen, LATER)
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


async def test_hung_for_longer_than_anybody_waits(served: Service, own_engine: OwnEngine, git_daemon: GitHost) -> None:
    """Launches end with a sentence, watchers hear that they are still connected; what the engine does late is ended."""
    async with visiting(served) as visitor:
        await visitor.enter()
        repo = fine(git_daemon)
        async with at_work(visitor, repo.url) as (project, _, _):
            pass
        async with at_work(visitor, fine(git_daemon).url) as (busy, session, kernel):
            began = time.monotonic()
            with own_engine.hung():
                watched = [asyncio.create_task(watch(visitor, url)) for url in (repo.url, fine(git_daemon).url)]
                async with asyncio.timeout(400):
                    while not all(one.done() for one in watched) or time.monotonic() - began < LONG_S:
                        await moving(session, kernel)
                        assert (await ills(served)).keys() <= {"Docker engine"}
                        await asyncio.sleep(1)  # what a server prints is read by nobody now: a pipe holds 64 KiB
                assert (await ills(served)) == {"Docker engine": "No answer within 5 seconds."}
            started, built = [await one for one in watched]
            for told, silences in (started, built):
                assert said(told)[:3] == ("engine-down", 503, TITLE)
                assert said(told)[4] == LATER
                assert silences, "in the midst of nothing, a watcher hears that its stream lives"
            assert said(started[0])[3] == "It did not answer while the session started."
            assert await until_ill(served) == {}
            async with asyncio.timeout(120):
                while containers(served).keys() != {busy}:
                    await asyncio.sleep(1)
            assert await states(visitor) == {project: "stopped", busy: "running"}
            async with at_work(visitor, repo.url) as (again, _, _):
                assert again == project
                assert containers(served).keys() == {project, busy}


async def watch(visitor: Visitor, url: str) -> tuple[dict[str, Any], int]:
    """Launch; the last event, and how often the stream said that it lives."""
    status, launch = await visitor.post("/api/v1/launches", {"url": url, "ref": "main"})
    assert status == 201, launch
    timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
    keepalives, last = 0, {}
    async with visitor.http.get(f"/api/v1/launches/{launch['id']}/events", timeout=timeout) as answer:
        async for line in answer.content:
            keepalives += line.startswith(b":keepalive")
            if line.startswith(b"data:"):
                last = json.loads(line[5:])
    return last, keepalives
