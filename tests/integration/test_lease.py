"""The writer lease: ten processes want one workspace at one moment, and two never have it."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from deploy.hub.turn import ELSEWHERE
from launcher.errors import SpawnRefused
from launcher.model import Account, Holder, Kind, Lease, Project
from tests.fixtures.hub import BASE, ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.fixtures.hub import HubSite

pytestmark = pytest.mark.engine
RACERS = 10
NOBODY = Account("", Kind.ANONYMOUS)


class Race:
    """Ten processes, and the workspace that they want."""

    def __init__(self, site: HubSite, project: Project, racers: list[asyncio.subprocess.Process]) -> None:
        self.site, self.project, self.racers = site, project, racers
        self.work: Path = site.folder / "workspaces" / project.id / "work"

    async def round(self, word: str = "go") -> list[dict[str, str]]:
        """All at once; how it ended for each."""

        async def run(racer: asyncio.subprocess.Process) -> dict[str, str]:
            assert racer.stdin is not None
            assert racer.stdout is not None
            racer.stdin.write(f"{word}\n".encode())
            ended: dict[str, str] = json.loads(await racer.stdout.readline())
            return ended

        return await asyncio.gather(*(run(racer) for racer in self.racers))

    def containers(self) -> list[Any]:
        """Those of this project that the engine has, in whatever state."""
        label = [f"repolaunch.installation={self.site.installation}", f"repolaunch.project={self.project.id}"]
        found: list[Any] = self.site.engine.containers.list(all=True, filters={"label": label})
        return found

    async def lease(self) -> Lease:
        """The newest."""
        return await self.site.stand_in.leases.get(self.project.id)

    async def never_two(self, ended: list[dict[str, str]]) -> Any:
        """Nobody has met anybody; at most one container is left, and it holds the lease. That one, or None."""
        assert not (self.work / "violations").exists(), ended
        running = [one for one in self.containers() if one.status == "running"]
        assert len(running) <= 1, ended
        for one in running:
            holder = (await self.lease()).holder
            assert holder is not None
            assert holder.container == one.id
        return running[0] if running else None

    async def until_somebody_writes(self) -> Any:
        """Rounds until one has it: where each removes what the others made, one round may end with none."""
        for _ in range(20):
            if (holder := await self.never_two(await self.round())) is not None:
                return holder
        pytest.fail("nobody ever got the workspace")


@asynccontextmanager
async def racing(site: HubSite, silent: str) -> AsyncIterator[Race]:
    project = site.project()
    workspace = site.stand_in.mount(project.id)
    labels = {"repolaunch.installation": site.installation, "repolaunch.project": project.id}
    options = {"type": "none", "o": "bind", "device": workspace.device}
    site.engine.volumes.create(workspace.name, driver_opts=options, labels=labels)
    wants = {
        "launcher": f"http://127.0.0.1:{site.stand_in.port}",
        "secret": site.environ["REPOLAUNCH_HUB_RESOLVE_SECRET"],
        "project": project.id,
        "labels": labels | {"repolaunch.kind": "session"},
        "volume": workspace.name,
        "image": BASE,
        "silent": silent,
    }
    argv = (sys.executable, "-m", "tests.fixtures.racer", json.dumps(wants))
    pipe = asyncio.subprocess.PIPE
    async with AsyncExitStack() as stack:
        racers = []
        for _ in range(RACERS):
            racer = await asyncio.create_subprocess_exec(*argv, cwd=ROOT, stdin=pipe, stdout=pipe)
            stack.push_async_callback(racer.wait)
            stack.callback(racer.kill)
            racers.append(racer)
        for racer in racers:
            assert racer.stdout is not None
            assert await racer.stdout.readline() == b"ready\n"
        yield Race(site, project, racers)


@pytest.fixture
def silent() -> Iterator[str]:
    """An engine that takes every call and answers none."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        yield f"tcp://127.0.0.1:{listening.getsockname()[1]}"


async def elsewhere(race: Race) -> None:
    """Another engine's session is never taken for gone; who vouches that it is lets it go on, with the next epoch."""
    site, name = race.site, race.project.id
    there = Holder("another engine", "a" * 64)
    assert await site.stand_in.leases.take(name, (await race.lease()).epoch, there)
    lease, here = await race.lease(), [one.id for one in race.containers()]
    ended = await race.round()
    assert all(ELSEWHERE in one.get("lost", "") for one in ended), ended
    assert [one.id for one in race.containers()] == here, "nothing is started, and nothing is ended"
    assert await race.lease() == lease
    # The hub says the same to a person.
    with pytest.raises(SpawnRefused) as refused:
        await site.sessions().start(race.project, NOBODY, lambda _: None)
    assert ELSEWHERE in str(refused.value)
    assert await site.stand_in.leases.give_up(name)
    await race.until_somebody_writes()
    assert (await race.lease()).epoch > lease.epoch


async def test_two_never_write_whatever_becomes_of_the_one_who_does(hub_site: HubSite, silent: str) -> None:
    async with racing(hub_site, silent) as race:
        before = 0
        for becomes in ("runs", "stop", "pause", "kill", "is only made"):
            holder = await race.until_somebody_writes()
            if becomes == "is only made":
                holder.remove(force=True)
                made = hub_site.engine.containers.create(BASE, labels=holder.labels)
                last = await race.lease()
                assert last.holder is not None
                there = Holder(last.holder.engine, str(made.id))
                assert await hub_site.stand_in.leases.take(race.project.id, last.epoch, there)
            elif becomes != "runs":
                getattr(holder, becomes)()
            await race.until_somebody_writes()
            epoch = (await race.lease()).epoch
            assert epoch > before
            before = epoch
        # The engine says nothing: nobody gets it, and who has it goes on.
        holder, lease = await race.until_somebody_writes(), await race.lease()
        ended = await race.round("silent")
        assert all("away" in one for one in ended), ended
        assert (await race.never_two(ended)).id == holder.id
        assert await race.lease() == lease
        await elsewhere(race)


async def test_a_start_that_lost_its_turn_leaves_nothing(hub_site: HubSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody takes the lease between the look and the start: the hub's own container goes, with a sentence."""
    project, leases = hub_site.project(), hub_site.stand_in.leases
    there, take = Holder("another engine", "a" * 64), leases.take

    async def too_late(name: str, after: int, holder: Holder) -> bool:
        await take(name, after, there)
        return await take(name, after, holder)

    monkeypatch.setattr(leases, "take", too_late)  # the moment between cannot be hit otherwise
    with pytest.raises(SpawnRefused) as refused:
        await hub_site.sessions().start(project, NOBODY, lambda _: None)
    assert "just been opened from elsewhere" in str(refused.value)
    label = [f"repolaunch.installation={hub_site.installation}", f"repolaunch.project={project.id}"]
    assert hub_site.engine.containers.list(all=True, filters={"label": label}) == []
    assert await leases.get(project.id) == Lease(1, there)
