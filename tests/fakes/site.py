"""All layers over a fake engine and a fake registry."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.builds.layers import Cached, Limited, Shared
from launcher.builds.recorded import Pushing, Recorded
from launcher.store.images import ImageRows
from launcher.store.launches import BuildRows
from tests.fakes.builds import REPO, FakeEngine, FakeRegistry, Told, environment, explain

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.events import Event
    from launcher.model import Image
    from launcher.store.database import Database
    from launcher.store.logs import EventLogs


@dataclass
class Site:
    """All layers over a fake engine and a fake registry, as `launcher/compose/builds.py` puts them together."""

    database: Database
    logs: EventLogs
    clock: Callable[[], float]
    engine: FakeEngine = field(default_factory=FakeEngine)
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    slept: list[float] = field(default_factory=list)
    at_once: int = 2
    prefix: str = "build"

    def __post_init__(self) -> None:
        names = itertools.count(1)
        self.images = ImageRows(self.database, self.clock)
        self.builds = BuildRows(self.database)
        self.limited = Limited(self.engine, lambda: self.at_once)
        self.recorded = recorded = Recorded(
            self.limited,
            self.builds,
            self.images,
            self.logs,
            explain,
            clock=self.clock,
            new_id=lambda: f"{self.prefix}{next(names)}",
        )
        cached = Cached(recorded, self.registry, self.registry, self.engine, self.images, explain)
        self.pushing = Pushing(
            cached,
            self.registry,
            self.images,
            self.builds,
            self.logs,
            explain,
            clock=self.clock,
            delays=(1, 5, 25),
            sleep=self.sleep,
        )
        self.shared = Shared(self.pushing)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    async def get(self, tell: Told | None = None, name: str = "a") -> Image:
        return await self.shared.get(REPO, environment(name), tell or Told())

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not true():
                await asyncio.sleep(0.005)

    async def pushed(self) -> None:
        await self.until(lambda: not self.pushing._under_way)

    async def close(self) -> None:
        await self.shared.close()
        await self.pushing.close()

    async def log(self, stream: str) -> list[Event]:
        await self.logs.flush()
        log = await self.logs.open(stream)
        found: list[Event] = []
        while len(found) < log.shown:
            found += [one.event for one in await log.page(len(found))]
        return found
