"""`repolaunch run PART`: one part of the service, for systemd, compose and whoever else keeps processes running.

`up` and this have the same plan. The process becomes the part: what is asked to stop is the part itself. Each waits
until what it stands on is there, so they may be started in any order, and each may be started again alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPError

from launcher.operate import build_engine, checks, ground, hub_database, plan, stores
from launcher.operate.installation import SERVICE, InstallationError, hold_part
from launcher.operate.leftovers import keep_ending_unknown_sessions
from launcher.operate.up import raise_descriptor_limit

if TYPE_CHECKING:
    from launcher.operate.children import Child
    from launcher.operate.installation import Installation
    from launcher.settings import Settings

log = logging.getLogger(__name__)
GROUND = "ground"
PARTS = (GROUND, "registry", "proxy", "hub", "worker", "launcher")
"""In order of start; none has to keep it."""
WAIT_S = 60.0
LOOK_S = 0.2
NO_ANSWER = 599  # tornado's own status for a request that took too long


async def prepare(installation: Installation, settings: Settings, part: str) -> Child | None:
    """Do what has to be done before the part; None when it was `ground`, which has ended. Raises InstallationError."""
    hold_part(installation, part)
    await checks.check(installation, settings)
    os.umask(0o077)
    if part == GROUND:
        await _ground(installation, settings)
        return None
    noted = await _noted(installation)
    gateway = urlsplit(noted["hub_api_url"]).hostname or ""
    builds = build_engine.place(installation, settings)
    child = plan.Plan(
        installation, settings, gateway, noted.get("engine_root", ""), builds, bool(noted.get("views"))
    ).part(part)
    if part == "launcher":
        await plan.migrate(installation, settings)
    if part == "hub":
        await asyncio.to_thread(hub_database.check, installation)
    if child.before is not None:
        await child.before()
    return child


def become(child: Child) -> NoReturn:
    """Turn this process into the part."""
    if child.restarted is not None:
        _afterwards(child)
    os.umask(child.umask)
    raise_descriptor_limit()
    if child.account is not None and not child.account.is_ours:
        os.setgroups([])
        os.setgid(child.account.group)
        os.setuid(child.account.user)
    os.execvpe(child.argv[0], child.argv, child.env)  # noqa: S606  # no shell is wanted


async def _ground(installation: Installation, settings: Settings) -> None:
    """Keep what sessions stand on until SIGTERM. They go on without it, and the rules stay while one is left."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    client = await ground.look(settings)
    async with AsyncExitStack() as stack:
        found = await ground.lay(stack, client, installation, settings)
        log.warning("%s", await found.walls)
        stack.enter_context(ground.task(found.guard.watch()))
        await build_engine.start(stack, client, installation, settings, log.warning)
        plans = plan.Plan(installation, settings, found.gateway, found.engine_root, views=found.views)
        if settings.mount_stores and not found.views:
            log.warning("%s", stores.NOT_SEEN)
        stack.enter_context(ground.task(keep_ending_unknown_sessions(plans.hub_api_url, installation)))
        # The note stays when this ends: the other parts may be started again without it.
        plans.note()
        await stop.wait()


async def _noted(installation: Installation) -> dict[str, str]:
    """Where the service is, as soon as the part `ground` has noted it. Raises InstallationError."""
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while not (installation.folder / "run" / SERVICE).exists():  # another process writes it
        if asyncio.get_running_loop().time() > deadline:
            raise InstallationError("The network of the sessions is not there. Start `repolaunch run ground`.")
        await asyncio.sleep(LOOK_S)
    return installation.service()


def _afterwards(child: Child) -> None:
    """Do what follows a start as soon as the part answers, in a process that is nobody's child."""
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        return
    if os.fork():
        os._exit(0)
    try:
        asyncio.run(_after(child))
    finally:
        os._exit(0)


async def _after(child: Child) -> None:
    deadline = asyncio.get_running_loop().time() + child.ready_s
    while asyncio.get_running_loop().time() < deadline:
        try:
            await AsyncHTTPClient().fetch(child.ready_url, request_timeout=2, follow_redirects=False)
        except HTTPError as error:
            if error.code < 500:  # noqa: PLR2004  # any answer of its own will do
                break
        except (TimeoutError, OSError):
            pass
        else:
            break
        await asyncio.sleep(LOOK_S)
    if child.restarted is not None:
        await child.restarted()
