"""Launches that are cancelled while a server starts, on a real engine, behind a real hub."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from launcher.model import Account, Kind
from launcher.sessions.awaited import Awaited

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from launcher.model import Project, Session
    from tests.fixtures.hub import HubSite

pytestmark = pytest.mark.engine
NOBODY = Account("", Kind.ANONYMOUS)
SLOW = ("sh", "-c", 'sleep 3; exec repolaunch-singleuser "$@"', "-")


@pytest.fixture
async def sessions(hub_site: HubSite) -> AsyncIterator[Awaited]:
    """As launches see them; what a test leaves is stopped."""
    found = hub_site.sessions()
    yield Awaited(found, time.time)
    await asyncio.gather(*(found.stop(one.project) for one in await found.list()))


def starting(sessions: Awaited, project: Project) -> tuple[asyncio.Task[Session], asyncio.Event]:
    """A launch that waits; the event: the container has been asked for."""
    asked = asyncio.Event()
    return asyncio.create_task(sessions.start(project, NOBODY, lambda _: asked.set())), asked


def containers(site: HubSite, project: Project) -> dict[str, int]:
    """States of all containers that the project has."""
    label = [f"repolaunch.installation={site.installation}", f"repolaunch.project={project.id}"]
    found = [one.status for one in site.engine.containers.list(all=True, filters={"label": label})]
    return {state: found.count(state) for state in found}


async def ended(site: HubSite, project: Project) -> None:
    """Within seconds nothing runs, and the hub knows of nothing."""
    hub, until = site.client(), time.monotonic() + 20
    while await hub.server(project.account) is not None or "running" in containers(site, project):
        assert time.monotonic() < until, (await hub.server(project.account), containers(site, project))
        await asyncio.sleep(0.1)
    assert "created" not in containers(site, project), "a container was left that never ran"


@pytest.mark.parametrize("later_s", [0.0, 0.1, 1.5])
async def test_a_start_that_nobody_waits_for_is_ended(hub_site: HubSite, sessions: Awaited, later_s: float) -> None:
    """Whenever the cancel comes: before, while and after the container is made. The next start is a new one."""
    project = hub_site.with_facts(hub_site.project(), server=SLOW)
    launch, asked = starting(sessions, project)
    if later_s:
        await asyncio.wait_for(asked.wait(), 30)
    await asyncio.sleep(later_s)
    launch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await launch
    await asyncio.sleep(0.3)
    await ended(hub_site, project)


async def test_a_launch_that_comes_while_a_start_is_being_ended(hub_site: HubSite, sessions: Awaited) -> None:
    """It has a server of its own, whatever the first was about."""
    project = hub_site.with_facts(hub_site.project(), server=SLOW)
    launch, asked = starting(sessions, project)
    await asyncio.wait_for(asked.wait(), 30)
    launch.cancel()
    await asyncio.gather(launch, return_exceptions=True)
    again, _ = starting(sessions, project)
    assert (await asyncio.wait_for(again, 60)).path == f"/user/{project.account}/"
    assert containers(hub_site, project) == {"running": 1}


async def test_a_start_that_another_launch_waits_for_goes_on(hub_site: HubSite, sessions: Awaited) -> None:
    project = hub_site.with_facts(hub_site.project(), server=SLOW)
    (one, _), (other, told) = starting(sessions, project), starting(sessions, project)
    await asyncio.wait_for(told.wait(), 30)  # both follow the same start
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    await asyncio.wait([other], timeout=60)
    assert other.done(), "it was never told"
    assert other.exception() is None, "its server was ended"
    assert containers(hub_site, project) == {"running": 1}


async def test_a_session_that_runs_is_left(hub_site: HubSite, sessions: Awaited) -> None:
    """Somebody may work in it; and a launcher that is started again takes its launches up."""
    project = hub_site.project()
    await sessions.start(project, NOBODY, lambda _: None)
    launch, _ = starting(sessions, project)
    await asyncio.sleep(0)
    launch.cancel()
    await asyncio.gather(launch, return_exceptions=True)
    await asyncio.sleep(2)
    assert containers(hub_site, project) == {"running": 1}
    await sessions.stop(project.id)
    slow = hub_site.with_facts(project, server=SLOW)
    launch, asked = starting(sessions, slow)
    await asyncio.wait_for(asked.wait(), 30)
    await asyncio.sleep(1)
    sessions.leave()
    launch.cancel()
    await asyncio.gather(launch, return_exceptions=True)
    await asyncio.sleep(2)
    assert containers(hub_site, project) == {"running": 1}
