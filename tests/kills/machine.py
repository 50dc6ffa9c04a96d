"""The kill machine: a service of its own, people at work, and one victim a round."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import docker.errors
import psutil

from launcher import explain
from launcher.operate.build_engine import Place
from launcher.operate.helper_container import SOCKET, healthy
from launcher.operate.noted import read
from tests.kills import truths
from tests.kills.collecting import Collector
from tests.kills.load import AWAY, Kept, Prober, World, launching, operator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence

    from tests.fixtures.repos import GitHost
    from tests.fixtures.service import Service
    from tests.kills.tally import Tally

BESIDES = ("up", "builder", "session", "volume helper", "build engine")
"""Victims that are no child of `up`. Where the engine of the sessions builds, there is no build engine to kill."""
CONTAINERS = {"volume helper": "volume-helper", "build engine": "build-engine"}
"""Victims that are a container, and its kind."""
GAP = {"proxy", "up"}
"""Victims that sessions are reached through."""
BACK_S = 120.0
SETTLE_S = 60.0
QUIET_S = 600.0
BREATH_S = 8.0
COLLECTING = 3
"""Every so many rounds something is collected while the victim dies."""


class Machine:
    """Runs the rounds. `seed` decides the order of victims and when each is killed."""

    def __init__(self, service: Service, git: GitHost, tally: Tally, seed: int) -> None:
        self.service, self.tally = service, tally
        self.chance = random.Random(seed)
        self.world = World(service, git, tally, random.Random(seed + 1))
        self.engine = truths.Engine(service)
        self.collector = Collector(self.world)
        self._names = truths.names(service)
        self._builds = Place(service.data / "run" / "builds")
        self._bag: list[str] = []
        self._stop = asyncio.Event()
        self.last = ""
        """The last round, for whoever looks on."""
        self._told = 0
        self._probers: list[Prober] = []
        self.kept: list[Kept] = []

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """People work while the block runs; afterwards they end what they began."""
        first, second = (Kept(self.world, operator(self.world), self.world.repo()) for _ in range(2))
        self.kept = [first, second]
        await asyncio.gather(first.enter(), second.enter())
        self._probers = [
            Prober(self.world, first, "api", known=False),
            Prober(self.world, first, "api/me", known=True),
        ]
        cached = [self.world.repo(), self.world.repo()]
        work: Sequence[Coroutine[Any, Any, None]] = [
            *(prober.probing(self._stop) for prober in self._probers),
            *(kept.saving(self._stop) for kept in self.kept),
            first.computing(self._stop),
            launching(self.world, cached, guests=False, stop=self._stop),
            launching(self.world, cached, guests=True, stop=self._stop),
            self.collector.working(self._stop),
        ]
        tasks = [asyncio.create_task(one) for one in work]
        try:
            yield
        finally:
            self._stop.set()
            ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), QUIET_S)
            for error in ended:
                if isinstance(error, BaseException):
                    self.world.wrong(f"somebody gave up: {type(error).__name__}: {error}")

    async def round(self) -> None:
        """Kill one, wait until all is true again."""
        for prober in self._probers:
            prober.refused.clear()
        victim = self._next()
        if sum(self.tally.victims.values()) % COLLECTING == 0:
            self.collector.time.set()
        await asyncio.sleep(self.chance.random() * 1.5)
        self.world.victim = victim
        began = time.monotonic()
        if not await self._kill(victim):
            return
        self.tally.victims[victim] += 1
        await self._come_back(began)
        took = time.monotonic() - began
        await self._look(victim)
        self.last = f"{victim}: back in {took:.1f} s, looked at for {time.monotonic() - began - took:.1f} s"
        self.world.victim = ""
        await self._breathe()

    async def _breathe(self) -> None:
        """Let a launch come to its end: a service that is killed all the time finishes nothing."""
        until, ended = time.monotonic() + BREATH_S, sum(self.tally.launches.values())
        while time.monotonic() < until and sum(self.tally.launches.values()) == ended:
            await asyncio.sleep(0.2)

    def _next(self) -> str:
        if not self._bag:
            self._bag = [*BESIDES, *self._names]
            self.chance.shuffle(self._bag)
        return self._bag.pop()

    def news(self) -> list[str]:
        """What went wrong since this was asked before."""
        news = self.tally.wrong[self._told :]
        self._told = len(self.tally.wrong)
        return news

    # ------------------------------------------------------------------ killing
    async def _kill(self, victim: str) -> bool:
        """Returns whether there was something to kill."""
        if victim == "up":
            self.service.kill()
            await asyncio.sleep(self.chance.random())
            await asyncio.to_thread(self.service.start)
            return True
        process = await self._find(victim)
        if process is None:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
        return True

    async def _find(self, victim: str) -> psutil.Process | None:
        if victim == "builder":
            return await self._builder()
        if victim == "session":
            return self._session()
        if victim in CONTAINERS:
            found = self.engine.containers(CONTAINERS[victim], "running")
            return psutil.Process(self.engine.pid(found[0]["Id"])) if found else None
        return self.service.child(victim)

    async def _builder(self) -> psutil.Process | None:
        """A builder's process, waited for: somebody builds most of the time."""
        for _ in range(100):
            for process in psutil.process_iter(["cmdline"]):
                line = process.info["cmdline"] or []
                if "builders" in line and any(str(self.service.data) in word for word in line):
                    return process
            await asyncio.sleep(0.1)
        return None

    def _session(self) -> psutil.Process | None:
        """The second kept session, or one that was launched just now."""
        running = {id_: project for id_, project in self.engine.running().items() if project != self.kept[0].project}
        if not running:
            return None
        container = self.chance.choice(sorted(running))
        self.world.hurt.add(running[container])
        with contextlib.suppress(docker.errors.NotFound, psutil.NoSuchProcess):
            return psutil.Process(self.engine.pid(container))
        return None

    # ------------------------------------------------------------------ coming back
    async def _come_back(self, began: float) -> None:
        until = began + BACK_S
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
            while away := await self._away(http):
                if time.monotonic() > until:
                    self.world.wrong(f"after {BACK_S:.0f} s {', '.join(away)} did not answer")
                    return
                await asyncio.sleep(0.1)
        self.tally.back.setdefault(self.world.victim, []).append(time.monotonic() - began)

    async def _away(self, http: aiohttp.ClientSession) -> list[str]:
        ports = truths.ports(self.service)
        asked = {
            "proxy": (f"http://127.0.0.1:{ports['proxy_api']}/api/routes", 403),
            "registry": (f"http://127.0.0.1:{ports['registry']}/v2/", 401),
            "launcher": (f"{self.service.base_url}/versions", 200),
            "hub": (f"{self.service.base_url}/hub/api/", 200),
            "session": (f"{self.service.base_url}{self.kept[0].prefix}api", 200),
        }
        away = []
        for name, (url, status) in asked.items():
            try:
                async with http.get(url) as answer:
                    if answer.status != status:
                        away.append(name)
            except AWAY:
                away.append(name)
        if not await asyncio.to_thread(healthy, self.service.data / "run" / "volumes" / SOCKET):
            away.append("volume helper")
        if truths.builds_apart(self.service) and not await asyncio.to_thread(self._builds.answers, 1):
            away.append("build engine")
        return away

    # ------------------------------------------------------------------ looking
    async def _look(self, victim: str) -> None:
        self._look_at_probes(victim)
        problems: list[str] = []
        for _ in range(int(SETTLE_S)):
            problems = await asyncio.to_thread(self._problems)
            problems += await self._unknown_sessions()
            if not problems:
                return
            await asyncio.sleep(1)
        for problem in problems:
            self.world.wrong(problem)

    def _problems(self) -> list[str]:
        for two in self.engine.two_on_one():
            self.world.wrong(two)
        missing = self.collector.registry.missing(self.collector.pinned)
        return [*truths.parts(self.service, self._names), *truths.strays(self.service), *missing]

    async def _unknown_sessions(self) -> list[str]:
        """Containers that the hub does not know, and servers without a container. Both lists move: looked at again."""
        token = (self.service.data / "secrets" / "launcher-token").read_text().strip()
        running = set((await asyncio.to_thread(self.engine.running)).values())
        try:
            async with (
                aiohttp.ClientSession(headers={"Authorization": f"token {token}"}) as http,
                http.get(f"{self.service.base_url}/hub/api/users?state=active") as answer,
            ):
                known = {one["name"].removeprefix("project-"): one["servers"] for one in await answer.json()}
        except AWAY as error:
            return [f"the hub does not say which servers run: {error}"]
        ready = {project for project, servers in known.items() if servers[""]["ready"]}
        still = set((await asyncio.to_thread(self.engine.running)).values())
        return [f"sessions that the hub does not know: {running - known.keys()}"] * bool(running - known.keys()) + [
            f"servers without a container: {ready - running - still}"
        ] * bool(ready - running - still)

    def _look_at_probes(self, victim: str) -> None:
        for prober in self._probers:
            times = [at for at, _ in prober.refused]
            if victim in GAP:
                name = f"{victim}, {'with' if prober.headers else 'without'} a token"
                self.tally.gaps.setdefault(name, []).append(times[-1] - times[0] if times else 0.0)
                continue
            # Who asks is known for 30 s without the hub; then a session says that it waits (test_hub_away.py).
            waits = f"503 {explain.RECONNECTING.seen}"
            allowed = {waits} if victim == "hub" and prober.headers else set()
            for said in [said for _, said in prober.refused if said not in allowed][:3]:
                log = self.engine.log(self.kept[0].project)
                self.world.wrong(f"a request to a session ({prober.path}) was not answered: {said}\n{log}")

    # ------------------------------------------------------------------ in the end
    async def end(self) -> None:
        """With everybody gone and every session stopped: nothing is left, nothing is lost."""
        await self.collector.end()
        for one in await asyncio.to_thread(self.collector.registry.missing, self.collector.pinned):
            self.world.wrong(f"in the end {one}")
        for kept in self.kept:
            for name in kept.lost(self.service.data / "workspaces")[:5]:
                self.world.wrong(f"acknowledged and lost: {kept.project}/{name}")
            await kept.person.ask("DELETE", f"/api/v1/sessions/{kept.project}")
            await kept.person.close()
        left: list[str] = []
        for _ in range(60):
            left = await asyncio.to_thread(self._left)
            if not left:
                break
            await asyncio.sleep(1)
        self.service.stop()
        left += [f"a process: {name}" for name, _ in truths.marked(self.service.data / "run" / "children.json")]
        left += [f"mounted: {line}" for line in truths.mounts(self.service)]
        left += [f"in the packet filter: {one}" for one in truths.packet_filter(self.service)]
        left += [f"noted: {one}" for one in read(self.service.data / "run" / "children.json")]
        for one in left:
            self.world.wrong(f"left in the end: {one}")

    def _left(self) -> list[str]:
        found = [*self.engine.left(), *truths.database(self.service), *truths.folders(self.service)]
        return found + truths.strays(self.service)
