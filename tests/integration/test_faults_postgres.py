"""PostgreSQL away for a while: what cannot be kept is refused with a sentence, all else waits and goes on by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from launcher.operate.installation import free_port
from tests.fixtures.faults import LATER, at_work, collect, counted, fine, ready, said, until_ill
from tests.fixtures.postgres import Postgres, running_postgres
from tests.fixtures.service import Service, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fixtures.registry import RunningRegistry
    from tests.fixtures.repos import GitHost

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(600)]

PARTS = ("launcher", "hub", "proxy")
DOWN = ("database-down", 503, "The database does not answer")
AWAY_S = 15.0


@pytest.fixture
def cluster() -> Iterator[Postgres]:
    """One that may be stopped."""
    with running_postgres() as one:
        yield one


async def test_away(tmp_path: Path, cluster: Postgres, registry: RunningRegistry, git_daemon: GitHost) -> None:
    env = {"REPOLAUNCH_REGISTRY": registry.host, "REPOLAUNCH_REGISTRY_TLS": "false"}
    env["REPOLAUNCH_DATABASE_URL"] = cluster.url(cluster.create())
    service = Service(tmp_path / "data", free_port(), env)
    another, slow = fine(git_daemon), fine(git_daemon, "RUN for n in $(seq 12); do echo step-$n; sleep 2; done\n")
    try:
        await asyncio.to_thread(service.start)
        pids = {name: service.child(name).pid for name in PARTS}
        async with visiting(service) as visitor:
            await visitor.enter()
            async with at_work(visitor, fine(git_daemon).url) as (project, session, kernel):
                _, launch = await visitor.post("/api/v1/launches", {"url": slow.url, "ref": "main"})
                events: list[dict[str, Any]] = []
                watching = asyncio.create_task(collect(visitor, launch["id"], events))
                async with asyncio.timeout(120):
                    while "step-1" not in str(events):
                        await asyncio.sleep(0.1)
                await asyncio.to_thread(cluster.stop)
                try:
                    for path in ("/api/v1/launches", f"/api/v1/projects/{project}/session"):
                        status, answer = await visitor.post(path, {"url": another.url, "ref": "main"})
                        told = said(answer["error"])
                        assert (status, told[:3], told[4]) == (503, DOWN, LATER)
                    assert list(await until_ill(service, "database")) == ["database"]
                    assert await counted(session, kernel) == 1
                    await session.write("kept.txt", "kept")
                    await asyncio.sleep(AWAY_S)
                    assert not watching.done()
                finally:
                    await asyncio.to_thread(cluster.start)
                await watching
                ready(events)
                assert [event["n"] for event in events] == list(range(1, len(events) + 1))
                assert [f"step-{n}" in str(events) for n in range(1, 13)] == [True] * 12
                assert await until_ill(service) == {}
                assert await counted(session, kernel) == 2
                ready(await visitor.launch(another.url, "main"))
        assert pids == {name: service.child(name).pid for name in PARTS}
    finally:
        if cluster.server is None:
            cluster.start()
        service.remove()
