"""`kill -9` on launcher and hub while people wait for a place: nobody is lost, passed over or started twice."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import docker.errors
import psutil
import pytest
import requests

from tests.fixtures.service import Visitor, read_events, visiting
from tests.integration.test_queue import repository

if TYPE_CHECKING:
    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(900)]
AWAY = (aiohttp.ClientError, TimeoutError, ConnectionError, ValueError)


class Waiter:
    """Somebody who launches, and looks again whenever the service was away, until it has ended."""

    def __init__(self, visitor: Visitor, url: str) -> None:
        self.visitor, self.url = visitor, url
        self.launch = ""
        self.events: list[dict[str, Any]] = []

    async def begin(self) -> None:
        status, launch = await self.visitor.post("/api/v1/launches", {"url": self.url, "ref": "main"})
        assert status == 201, launch
        self.launch = launch["id"]

    async def wait(self, served: list[str]) -> None:
        """Until the session is there; then it is given back."""
        while not self.events or self.events[-1]["type"] not in {"ready", "failed", "cancelled"}:
            with contextlib.suppress(*AWAY):
                await self._follow()
            await asyncio.sleep(0.3)
        served.append(self.launch)
        await give_back(self.visitor, self.events[-1]["project"])

    async def _follow(self) -> None:
        path = f"/api/v1/launches/{self.launch}/events"
        async with self.visitor.http.get(path, params={"from": len(self.events) + 1}) as answer:
            if answer.status == 200:  # else it is away
                async for event in read_events(answer):
                    self.events.append(event)

    def places(self) -> list[list[int]]:
        """Those that were told, in each of its runs."""
        found: list[list[int]] = [[]]
        for event in self.events:
            if event["type"] == "queued":
                found[-1].append(event["place"])
            elif "was restarted" in event.get("message", ""):
                found.append([])
        return found


async def give_back(visitor: Visitor, project: str) -> None:
    """Stop a session, as soon as there is somebody who does it."""
    async with asyncio.timeout(120):
        while True:
            with contextlib.suppress(*AWAY):
                if (await visitor.call("DELETE", f"/api/v1/sessions/{project}"))[0] == 204:
                    return
            await asyncio.sleep(0.5)


class Operator:
    """Kills, and looks how the queue stands."""

    def __init__(self, service: Service, http: aiohttp.ClientSession) -> None:
        self.service, self.http = service, http
        self.most = 0
        """Sessions at one time."""

    async def queue(self) -> list[str]:
        """Who waits, in the order of their places; asked until somebody answers."""
        async with asyncio.timeout(120):
            while True:
                with contextlib.suppress(*AWAY):
                    async with self.http.get("/api/v1/queue", headers=self.service.operator) as answer:
                        if answer.status == 200:
                            return [one["launch"] for one in await answer.json()]
                await asyncio.sleep(0.3)

    async def waiting(self, many: int) -> list[str]:
        async with asyncio.timeout(120):
            while len(found := await self.queue()) != many:
                await asyncio.sleep(0.3)
        return found

    async def kill(self, part: str) -> None:
        """Until the next one runs."""
        victim = self.service.child(part)
        victim.kill()
        async with asyncio.timeout(120):
            while True:
                with contextlib.suppress(LookupError, psutil.Error):
                    if self.service.child(part).pid != victim.pid:
                        return
                await asyncio.sleep(0.2)

    async def count(self) -> None:
        """How many sessions run, all the time."""
        while True:
            with contextlib.suppress(requests.RequestException, docker.errors.DockerException):  # a busy engine
                found = await asyncio.to_thread(self.service.containers)
                self.most = max(self.most, len([one for one in found if one.status == "running"]))
            await asyncio.sleep(0.3)


async def test_killed_while_people_wait(own_service: Service, git_daemon: GitHost) -> None:
    await asyncio.to_thread(own_service.start)
    (own_service.data / "policy.toml").write_text("[sessions]\nin_all = 1\n")
    await asyncio.sleep(3)
    links = [repository(git_daemon).url, repository(git_daemon).url]
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(own_service.base_url))
        operator = Operator(own_service, http)
        waiters = []
        for link in (links[0], links[0], links[0], links[1], links[0]):
            visitor = await stack.enter_async_context(visiting(own_service))
            await visitor.enter()
            waiters.append(Waiter(visitor, link))
        first, *others = waiters
        ready = await first.visitor.launch(first.url, "main")
        assert ready[-1]["type"] == "ready", ready[-1]
        for many, one in enumerate(others, 1):
            await one.begin()
            await operator.waiting(many)
        order = await operator.waiting(4)
        assert order.index(others[2].launch) == 1, "the other link comes second, not third"
        served: list[str] = []
        async with asyncio.TaskGroup() as tasks:
            counting = tasks.create_task(operator.count())
            for one in others:
                tasks.create_task(one.wait(served))
            for part, runs in (("launcher", 2), ("hub", 2), ("launcher", 3)):
                await operator.kill(part)
                assert await operator.waiting(4) == order, f"{part} was killed"
                async with asyncio.timeout(180):  # until each was told the place again
                    while not all(len(one.places()) == runs and one.places()[-1] for one in others):
                        await asyncio.sleep(0.3)
            assert served == []
            await give_back(first.visitor, ready[-1]["project"])
            for part, many in (("launcher", 1), ("hub", 2), ("launcher", 3)):
                async with asyncio.timeout(180):
                    while len(served) < many:
                        await asyncio.sleep(0.1)
                await operator.kill(part)
            async with asyncio.timeout(240):
                while len(served) < 4:
                    await asyncio.sleep(0.3)
            await operator.waiting(0)
            counting.cancel()
    finals = [[event["type"] for event in one.events if event["type"] in {"ready", "failed"}] for one in others]
    assert finals == [["ready"]] * 4, [one.events[-1] for one in others]
    assert served == order, "in their turn"
    assert len({one.events[-1]["project"] for one in others}) == 4
    assert operator.most == 1, "never two where there is one place"
    for one in others:
        told = one.places()
        assert len(told) >= 3, "the launch was run again, twice at least"
        assert all(told[:3]), "the place is told again, in every run"
        flat = [place for run in told[1:] for place in run]  # in the first the others were still coming
        assert flat == sorted(flat, reverse=True), "nobody falls back"
