"""A class on one new link and people on others, all at once, on two cores: over HTTP, launches and places are real.

Sessions are stand-ins that take a core for as long as they start, and end as soon as they are ready.
"""

from __future__ import annotations

import asyncio
import json
import resource
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from launcher.explain import explain
from launcher.gate.places import Places, Rules
from launcher.gate.policy import Policy
from launcher.gate.taken import Taken
from launcher.gate.tickets import Ticketed
from launcher.launch import Launch, Stages
from launcher.launches import Launches
from launcher.model import Account, Checkout, Kind, ResolvedRepo
from launcher.store.launches import LaunchRows
from launcher.store.queue import QueueRows
from launcher.tasks import Tasks
from tests.fakes.builds import environment
from tests.fakes.sessions import FakeSessions
from tests.fakes.web import COMMIT, a_project
from tests.fixtures.web import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from launcher.model import Environment, Image, Project, RepoRef
    from launcher.stages import Asked
    from launcher.store.database import Database
    from launcher.store.logs import EventLogs
    from tests.fakes.web import FakeProjects
    from tests.fixtures.web import Site

CORES = 2
PLACES = 30
STARTING = 2 * CORES


@dataclass
class Before:
    """All that comes before a session: found at once."""

    projects: FakeProjects

    async def check(self) -> None:
        """There is room."""

    async def resolve(self, ref: RepoRef, _account: Account) -> ResolvedRepo:
        return ResolvedRepo(ref, COMMIT, "refs/heads/main")

    @asynccontextmanager
    async def open(self, repo: ResolvedRepo) -> AsyncIterator[Checkout]:
        yield Checkout(repo, None, "git:1")  # type: ignore[arg-type]  # nobody looks

    async def detect(self, *_: object, **__: object) -> Environment:
        return environment("a")

    async def get(self, *_: object, **__: object) -> Image:
        return a_project("aaaaaaaaaa", "ada").image

    async def find(self, account: Account, ref: RepoRef) -> Project | None:
        return await self.projects.find(account.name, ref.url, ref.ref)

    async def create(self, asked: Asked, repo: ResolvedRepo, _image: Image) -> Project:
        name = "p" + sha256(asked.id.encode()).hexdigest()[:9]
        project = replace(
            a_project(name, asked.account.name), spec=asked.ref.spec, url=repo.url, ref=asked.ref.ref, token_entry=False
        )
        self.projects.add(project)
        return project

    async def use(self, project: Project) -> Project:
        return project


@dataclass
class Crowd:
    """Guests, and what became of each."""

    site: Site
    served: list[str]
    """Links, in the order in which sessions were ready."""
    told: int = 0
    """So many waited, and were told their place."""
    refused: int = 0

    async def guest(self, number: int, spec: str) -> None:
        """One who launches, looks into the session, and leaves."""
        headers = self.site.headers(f"guest-{number}")
        body = {"provider": "gh", "spec": spec}
        launch = await self.site.json("POST", "/api/v1/launches", status=201, json=body, headers=headers)
        events: list[dict[str, Any]] = []
        async with self.site.client.get(self.site.base + launch["events"], headers=headers, timeout=None) as answer:
            events += [json.loads(line[5:]) async for line in answer.content if line.startswith(b"data:")]
        assert events[-1]["type"] == "ready", events[-1]
        self.served.append(spec)
        waited = any(event["type"] == "started" and event["stage"] == "queue" for event in events)
        places = [event["place"] for event in events if event["type"] == "queued"]
        assert bool(places) == waited
        self.told += waited
        path = f"/api/v1/sessions/{events[-1]['project']}"
        await self.site.json("DELETE", path, status=204, headers=headers)


@asynccontextmanager
async def crowded(bare_site: Site, database: Database, logs: EventLogs, start_s: float) -> AsyncIterator[Site]:
    """A site with two cores and so many places."""
    policy = Policy.model_validate({"sessions": {"in_all": PLACES, "starting": STARTING}, "rates": {"per_address": 0}})
    sessions = FakeSessions(CORES, start_s)
    taken = Taken(sessions, bare_site.projects, time.monotonic)
    rules = Rules(lambda: policy.sessions, lambda _: False)
    places = Places(taken, rules, QueueRows(database, logs.writer), bare_site.metrics, clock=time.time)
    sessions.stopped = places.ended
    before: Any = Before(bare_site.projects)
    stages = Stages(before, before, before, before, before, before, before, places, sessions)
    names = iter(range(10**6))
    launches = Launches(
        Ticketed(Launch(stages), places),
        LaunchRows(database),
        logs,
        explain,
        clock=time.time,
        new_id=lambda: f"{next(names):032x}",
    )
    tasks = Tasks()
    tasks.start(places.run(), "places")
    web = replace(bare_site.web, launches=launches, sessions=sessions, queue=places, limits=lambda: policy)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))  # each guest has two sockets here
    # Everybody follows a stream: more than the hundred connections that the library would keep to.
    jar, connector = aiohttp.DummyCookieJar(), aiohttp.TCPConnector(limit=0)
    async with served(bare_site, web) as site, aiohttp.ClientSession(cookie_jar=jar, connector=connector) as crowd:
        first, site.client = site.client, crowd
        yield site
        site.client = first
    await tasks.close()
    await launches.close()
    assert sessions.most <= PLACES
    assert (len(places.overview()), sessions.states) == (0, {})


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(300):
        while not true():
            await asyncio.sleep(0.05)


async def all_come(site: Site, class_: int, others: int, links: int, start_s: float) -> None:
    site.hub.people |= {f"guest-{n}": Account(f"guest-{n}", Kind.GUEST) for n in range(class_ + others)}
    crowd = Crowd(site, [])
    sessions: Any = site.web.sessions
    sessions.go.clear()
    async with asyncio.TaskGroup() as group:
        for n in range(class_):
            group.create_task(crowd.guest(n, "trainer/course/main"))
        await until(lambda: len(site.web.queue.overview()) == class_ - STARTING)  # the class was first
        for n in range(others):
            group.create_task(crowd.guest(class_ + n, f"ada/paper{n % links}/main"))
        await until(lambda: len(site.web.queue.overview()) == class_ + others - STARTING)
        began = time.monotonic()
        sessions.go.set()
    seconds = time.monotonic() - began
    allowed = CORES / start_s
    print(
        f"\n{class_ + others} launches in {seconds:.1f} s: {(class_ + others) / seconds:.1f} a second, "
        f"where the cores allow {allowed:.1f}; {crowd.told} waited and were told their place"
    )
    assert len(crowd.served) == class_ + others, "nobody is lost"
    last = max(n for n, spec in enumerate(crowd.served) if spec.startswith("ada/"))
    before = sum(spec.startswith("trainer/") for spec in crowd.served[:last])
    assert before < class_ / 2, "who came for another link did not wait for the class"
    assert crowd.told == class_ + others - STARTING


async def test_a_small_class(bare_site: Site, database: Database, logs: EventLogs) -> None:
    async with crowded(bare_site, database, logs, 0.02) as site:
        await all_come(site, 60, 6, 3, 0.02)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_six_hundred_guests_on_one_new_link_and_fifty_on_others(
    bare_site: Site, database: Database, logs: EventLogs
) -> None:
    async with crowded(bare_site, database, logs, 0.1) as site:
        await all_come(site, 600, 50, 10, 0.1)
