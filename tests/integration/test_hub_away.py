"""The hub is away, or accepts and never answers: sessions, kernels, `/health` and watchers."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import secrets
import signal
import time
from typing import TYPE_CHECKING

import aiohttp
import pytest

from launcher import explain
from launcher.sessions.resolve import SERVER_ARGS
from launcher.sessions.sessions import AWAY
from tests.fixtures.service import read_events
from tests.kills.load import Kept, World, operator
from tests.kills.tally import Tally

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service

pytestmark = pytest.mark.engine
CACHED_S = 30
"""For so long a session knows people without the hub."""
PAGE = {"Accept": "text/html"}
JSON = {"Accept": "application/json"}


@contextlib.asynccontextmanager
async def absence(service: Service) -> AsyncIterator[None]:
    """The hub is killed and not started again, until the block ends."""
    assert service.process is not None
    service.process.send_signal(signal.SIGSTOP)  # who would start it again
    try:
        service.child("hub").kill()
        yield
    finally:
        service.process.send_signal(signal.SIGCONT)
        await answers(service, "/hub/api/")


async def answers(service: Service, path: str) -> None:
    async with aiohttp.ClientSession(service.base_url) as http, asyncio.timeout(90):
        while True:
            async with http.get(path) as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.2)


class Visit:
    """Somebody with a session, a kernel that counts, and a look at the session every half second."""

    def __init__(self, kept: Kept) -> None:
        self.kept, self.http = kept, kept.person.http
        self.stop = asyncio.Event()

    async def look(self, headers: dict[str, str], path: str = "api/status") -> tuple[int, aiohttp.ClientResponse, str]:
        async with self.http.get(self.kept.prefix + path, headers={**self.kept.headers, **headers}) as answer:
            return answer.status, answer, await answer.text()

    @contextlib.asynccontextmanager
    async def computing(self) -> AsyncIterator[None]:
        """A kernel's websocket is open during the block, and answers."""
        task = asyncio.create_task(self.kept.computing(self.stop))
        try:
            yield
        finally:
            self.stop.set()
            await task


@pytest.fixture
async def visit(own_service: Service, git_daemon: GitHost) -> AsyncIterator[Visit]:
    own_service.start()
    world = World(own_service, git_daemon, Tally(), random.Random())
    kept = Kept(world, operator(world), world.repo())
    await kept.enter()
    yield Visit(kept)
    await kept.person.close()
    assert world.tally.wrong == []


@pytest.mark.timeout(600)
@pytest.mark.long
async def test_the_hub_is_away(own_service: Service, visit: Visit) -> None:
    """Sessions answer for as long as they remember who asks; then they say that they wait, and nothing ends."""
    assert f"--HubOAuth.cache_max_age={CACHED_S}" in SERVER_ARGS
    tally = visit.kept.world.tally
    async with visit.computing():
        for seconds in (10, 60):
            await visit.kept.enter()  # with a new token: asked for by the look, and remembered from then on
            assert (await visit.look(JSON))[0] == 200
            known = time.monotonic()
            async with absence(own_service):
                said = await _watched(visit, known + seconds)
                counted = tally.answered
                while tally.answered < counted + 3:
                    await asyncio.sleep(0.1)
            assert (await visit.look(JSON))[0] == 200
            early = [text for at, status, text in said if at - known < CACHED_S - 5 and status != 200]
            assert early == [], "it was known who asks"
            if seconds > CACHED_S + 5:
                late = {(status, text) for at, status, text in said if at - known > CACHED_S + 5}
                assert late == {(503, explain.RECONNECTING.seen)}
    assert tally.cuts == {}, "the kernel's websocket was never cut"


async def _watched(visit: Visit, until: float) -> list[tuple[float, int, str]]:
    said = []
    while time.monotonic() < until:
        began = time.monotonic()
        status, answer, _ = await visit.look(JSON)
        text = "" if status == 200 else (await answer.json())["message"]
        said.append((began, status, text))
        await asyncio.sleep(0.5)
    status, answer, page = await visit.look(PAGE)
    if status != 200:
        assert (status, answer.headers["Retry-After"], answer.content_type) == (503, "3", "text/html")
        assert explain.RECONNECTING.title in page
    return said


async def test_the_hub_accepts_and_never_answers(own_service: Service, visit: Visit) -> None:
    """`/health` says so, streams keep moving, a launch says what it waits for and goes on."""
    person, tally = visit.kept.person, visit.kept.world.tally
    slow = visit.kept.world.git.make_repo(
        files={
            "Dockerfile": "FROM localhost/repolaunch/base:1\n"
            # Never the engine's cache of an earlier run: its steps say nothing.
            f"RUN : {secrets.token_hex(8)}; for i in $(seq 40); do echo line-$i; sleep 1; done\n"
        }
    )
    building = await person.ask("POST", "/api/v1/launches", {"url": slow.url, "ref": "main"})
    lines = await _first_step(person.http, building["events"])
    await person.ask("DELETE", f"/api/v1/sessions/{visit.kept.project}")
    hub = own_service.child("hub")
    hub.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        waiting = await person.ask("POST", "/api/v1/launches", {"url": visit.kept.repo.url, "ref": "main"})
        async with person.http.get("/health") as answer:
            assert answer.status == 503
            found = {one["service"]: one for one in (await answer.json())["checks"]}
            assert not found["JupyterHub API"]["ok"], found
        assert time.monotonic() - began < 10, "asking for health waits for nobody"
        told = await _until(person.http, waiting["events"], AWAY["message"])
        assert told["stage"] == "session"
        async with asyncio.timeout(10):
            assert await anext(lines), "the other launch's stream moves"
        await asyncio.sleep(max(0.0, 10 - (time.monotonic() - began)))
    finally:
        hub.send_signal(signal.SIGCONT)
    for launch in (waiting, building):
        final = await person._follow(launch["id"])
        assert final["type"] == "ready", final
    assert tally.wrong == []
    await lines.aclose()


async def _first_step(http: aiohttp.ClientSession, events: str) -> AsyncGenerator[str, None]:
    """Lines of a build from its first step on."""

    async def lines() -> AsyncGenerator[str, None]:
        async with http.get(events, timeout=aiohttp.ClientTimeout(total=300)) as answer:
            async for event in read_events(answer):
                if re.search(r"line-\d", event.get("message", "")):
                    yield event["message"]

    following = lines()
    await anext(following)
    return following


async def _until(http: aiohttp.ClientSession, events: str, message: str) -> dict[str, str]:
    async with asyncio.timeout(30), http.get(events) as answer:
        async for event in read_events(answer):
            if event.get("message") == message:
                return event
            assert event["type"] not in {"ready", "failed"}, event
    raise AssertionError("the stream ended")
