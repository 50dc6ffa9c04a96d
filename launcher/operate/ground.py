"""What sessions stand on: their network, its egress rules, the volume helper. `up` keeps it, or one part does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from launcher.build_settings import SHARED
from launcher.operate import engine, plan, stores
from launcher.operate.egress.guard import Bridge, Guard
from launcher.operate.helper_container import HelperContainer, healthy
from launcher.operate.installation import InstallationError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from contextlib import AsyncExitStack
    from pathlib import Path

    import docker

    from launcher.operate.installation import Installation
    from launcher.settings import Settings

Result = TypeVar("Result")
log = logging.getLogger(__name__)
HELPER_S = 2.0
"""Between two looks at the volume helper."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What was laid."""

    gateway: str
    """Address of the sessions' bridge, where the hub listens."""
    engine_root: str
    views: bool
    """Whether sessions see the stores."""
    guard: Guard
    walls: asyncio.Task[str]
    """Ends with a sentence when the rules are set; no session may start before."""


async def look(settings: Settings) -> docker.DockerClient:
    """The engine, with all that is needed of it. Raises InstallationError."""
    client = await asyncio.to_thread(engine.connect)
    if not await asyncio.to_thread(engine.is_here, client, engine.BASE_IMAGE):
        raise InstallationError("The site's base image is missing. Run `make setup`.")
    await asyncio.to_thread(engine.check_runtime, client, settings.session_runtime)
    return client


async def lay(
    stack: AsyncExitStack, client: docker.DockerClient, installation: Installation, settings: Settings
) -> Ground:
    """Make what is missing, and keep the volume helper; `stack` takes it away again. Raises InstallationError."""
    folders = plan.folders(installation, settings)
    helper = HelperContainer(client, installation.id, engine.BASE_IMAGE, folders)
    # Before anything that is taken away again when this fails.
    await asyncio.to_thread(helper.check_alone)
    gateway = await asyncio.to_thread(engine.ensure_network, client, installation)
    others = await asyncio.to_thread(_others, client, installation, settings)
    bridge = Bridge(engine.bridge(installation), gateway, installation.ports.hub, others)
    guard = Guard(client, installation, settings, bridge)
    stack.push_async_callback(guard.remove)
    walls = stack.enter_context(task(guard.install()))
    stack.push_async_callback(asyncio.to_thread, helper.stop)
    await asyncio.to_thread(helper.ensure)
    stack.enter_context(task(_keep(helper, folders.socket)))
    views = await asyncio.to_thread(stores.are_seen, client, installation, settings)
    return Ground(gateway, await asyncio.to_thread(engine.root, client), views, guard, walls)


def _others(client: docker.DockerClient, installation: Installation, settings: Settings) -> tuple[str, ...]:
    """The bridges, besides the sessions', of what strangers have done on the engine of the sessions."""
    if settings.build_engine != SHARED:
        return ()
    return (engine.ensure_fetching(client, installation),)


@contextlib.contextmanager
def task(work: Coroutine[Any, Any, Result]) -> Iterator[asyncio.Task[Result]]:
    """Run `work` beside, until the end of the block."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        if not task.cancel() and not task.cancelled():
            task.exception()  # seen: it is raised where the task is awaited, if it is


async def _keep(helper: HelperContainer, address: Path) -> None:
    """The engine starts a helper that crashed again, but not for ever, and not after a restart of its own."""
    while True:
        await asyncio.sleep(HELPER_S)
        if await asyncio.to_thread(healthy, address):
            continue
        log.warning("the volume helper does not answer; it is started again")
        try:
            await asyncio.to_thread(helper.ensure)
        except InstallationError as error:
            log.warning("%s It is tried again in %g s.", error, HELPER_S)
