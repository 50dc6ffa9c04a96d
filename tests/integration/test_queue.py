"""Places for sessions, and who may launch, on the running service: real containers, a policy that changes meanwhile."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.fixtures.engine import BASE_IMAGE
from tests.fixtures.service import visiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fixtures.repos import GitHost, Repo
    from tests.fixtures.service import Service, Visitor

pytestmark = pytest.mark.engine
PLACES = 2


def repository(host: GitHost) -> Repo:
    """One that nobody has launched."""
    return host.make_repo(files={"Dockerfile": f"# {secrets.token_hex(4)}\nFROM {BASE_IMAGE}\n"})


class Operator:
    """Writes the policy file and looks."""

    def __init__(self, service: Service, http: aiohttp.ClientSession) -> None:
        self.service, self.http = service, http

    async def get(self, path: str) -> Any:
        async with self.http.get(path, headers=self.service.operator) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def sets(self, text: str, wanted: tuple[str, object]) -> None:
        """This policy, until `/api/v1/limits` says so."""
        (self.service.data / "policy.toml").write_text(text)
        async with asyncio.timeout(30):
            while (await self.get("/api/v1/limits"))[wanted[0]] != wanted[1]:
                await asyncio.sleep(0.2)


@pytest.fixture
async def operator(service: Service) -> AsyncIterator[Operator]:
    """Leaves the service without limits."""
    async with aiohttp.ClientSession(service.base_url) as http:
        one = Operator(service, http)
        yield one
        await one.sets("", ("sessions", 0))


async def come(stack: AsyncExitStack, service: Service) -> Visitor:
    visitor = await stack.enter_async_context(visiting(service))
    await visitor.enter()
    return visitor


async def launched(visitor: Visitor, url: str) -> list[dict[str, Any]]:
    """Launch, and leave at once when the session is there: somebody else has the place then."""
    events = await visitor.launch(url, "main")
    if events[-1]["type"] == "ready":
        status, answer = await visitor.call("DELETE", f"/api/v1/sessions/{events[-1]['project']}")
        assert status == 204, answer
    return events


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_a_class_waits_in_turn_and_is_served(service: Service, git_daemon: GitHost, operator: Operator) -> None:
    """Who has a session is led back to it though all places are taken; who waits is told; nobody is lost."""
    link, other = repository(git_daemon), repository(git_daemon)
    taken = len(await operator.get("/api/v1/sessions"))
    await operator.sets(f"[sessions]\nin_all = {taken + PLACES}\nwaiting = 3\n", ("sessions", taken + PLACES))
    async with AsyncExitStack() as stack:
        first = [await come(stack, service) for _ in range(PLACES)]
        ready = await asyncio.gather(*(one.launch(link.url, "main") for one in first))
        assert [events[-1]["type"] for events in ready] == ["ready"] * PLACES
        class_ = [await come(stack, service) for _ in range(2)]
        single = await come(stack, service)
        waiting = [asyncio.create_task(launched(one, link.url)) for one in class_]
        async with asyncio.timeout(120):
            while (await operator.get("/api/v1/limits"))["waiting"] < 2:
                await asyncio.sleep(0.2)
        waiting.append(asyncio.create_task(launched(single, other.url)))
        async with asyncio.timeout(120):
            while (await operator.get("/api/v1/limits"))["waiting"] < 3:
                await asyncio.sleep(0.2)
        queue = await operator.get("/api/v1/queue")
        assert [one["place"] for one in queue] == [1, 2, 3]
        assert other.url.rpartition("/")[2][:6] in queue[1]["link"], "the other link comes second, not last"
        # The queue is full, and whoever has a session does not need it.
        late = await come(stack, service)
        status, told = await late.post("/api/v1/launches", {"url": link.url, "ref": "main"})
        assert (status, told["error"]["code"]) == (503, "queue-full")
        again = await first[0].launch(link.url, "main")
        assert (again[-1]["type"], again[-1]["project"]) == ("ready", ready[0][-1]["project"])
        # One place is given back: all three come, one after the other.
        assert (await first[1].call("DELETE", f"/api/v1/sessions/{ready[1][-1]['project']}"))[0] == 204
        async with asyncio.timeout(400):
            served = await asyncio.gather(*waiting)
        assert [events[-1]["type"] for events in served] == ["ready"] * 3
        told_place = [[event["place"] for event in events if event["type"] == "queued"] for events in served]
        assert all(places and places[-1] <= places[0] for places in told_place)
        assert (await first[0].call("DELETE", f"/api/v1/sessions/{ready[0][-1]['project']}"))[0] == 204
    assert await operator.get("/api/v1/queue") == []


async def test_a_ban_is_in_force_without_a_restart(service: Service, git_daemon: GitHost, operator: Operator) -> None:
    repo = repository(git_daemon)
    pattern = repo.url.replace("/", r"\/").replace(".", r"\.")
    async with visiting(service) as guest:
        await guest.enter()
        await operator.sets(f"[providers.git]\nbanned = ['^{pattern}']\n[sessions]\nin_all = 77\n", ("sessions", 77))
        status, told = await guest.post("/api/v1/launches", {"url": repo.url, "ref": "main"})
        assert (status, told["error"]["code"]) == (403, "repository-banned")
        # A file that cannot be read lifts nothing, and is told.
        (service.data / "policy.toml").write_text("[providers.git\n")
        async with asyncio.timeout(60):
            while True:
                async with operator.http.get("/health", headers=service.operator) as answer:
                    checks = {one["service"]: one for one in (await answer.json())["checks"]}
                if not checks["policy file"]["ok"]:
                    break
                await asyncio.sleep(1)
        assert "line 1" in checks["policy file"]["message"]
        status, _ = await guest.post("/api/v1/launches", {"url": repo.url, "ref": "main"})
        assert status == 403
        # What the operator says is above the hub's pages too.
        await operator.sets("[pages]\nbanner = '<em>Away</em> tonight'\n[sessions]\nin_all = 78\n", ("sessions", 78))
        async with operator.http.get("/hub/login") as answer:
            assert (answer.status, (await answer.text()).count("<em>Away</em> tonight")) == (200, 1)
        await operator.sets("", ("sessions", 0))
        assert (await launched(guest, repo.url))[-1]["type"] == "ready"
