"""A composed launcher, served: what is opened in which order, what goes on, what is closed."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import signal
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from launcher.compose.web import web_of
from launcher.given import OWN
from launcher.operate.installation import write_private
from launcher.tasks import Tasks
from launcher.web.app import make_app
from launcher.web.serving import BACKLOG, serve, stop

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.compose.composed import Composed

log = logging.getLogger("launcher.compose")


async def run(composed: Composed) -> None:
    """Serve until SIGTERM or SIGINT; what is under way is kept for the next process to go on with."""
    given, asked_to_stop = composed.common.given, asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked_to_stop.set)
    loop.add_signal_handler(signal.SIGUSR1, _note_imports, given.data / OWN / "imported.json")
    async with AsyncExitStack() as stack:
        await _open(composed, stack)
        await _recover(composed)
        _go_on(composed, stack)
        web = web_of(composed)
        server = serve(make_app(web))
        server.listen(given.port, "127.0.0.1", backlog=BACKLOG)
        # Followers are gone before what they follow is closed.
        stack.push_async_callback(stop, server, web)
        # What is here now stays: the collector need not look at it again and again while people wait.
        gc.collect()
        gc.freeze()
        log.warning("the launcher listens")
        await asked_to_stop.wait()


async def _open(composed: Composed, stack: AsyncExitStack) -> None:
    """Open what is needed, the first last to be closed."""
    common, repos, builds, sessions = composed.common, composed.repos, composed.builds, composed.sessions
    stack.push_async_callback(common.rows.database.close)
    await common.rows.database.check()
    await common.policy_file.look()
    stack.push_async_callback(common.rows.logs.close)
    for quick in (sessions.hub, repos.addresses, repos.git, repos.oauth, repos.api):
        stack.callback(quick.close)
    await repos.checkouts.recover()
    for slow in (
        repos.checkouts,
        builds.pushing,
        builds.images,
        builds.archiving,
        builds.collecting,
        builds.forgetting,
        builds.detector,
        sessions.awaited,
        composed.launches,
    ):
        stack.push_async_callback(slow.close)
    stack.callback(sessions.awaited.leave)
    stack.callback(sessions.places.leave)


async def _recover(composed: Composed) -> None:
    """Go on with what another process left."""
    await composed.builds.recorded.recover()
    await composed.builds.pushing.recover()
    await composed.sessions.places.recover()
    await composed.launches.recover()


def _go_on(composed: Composed, stack: AsyncExitStack) -> None:
    """Start what is done again and again."""
    tasks = Tasks()
    stack.push_async_callback(tasks.close)
    tasks.start(_settle(composed), "builds that nobody went on with")
    tasks.start(composed.sessions.watch.run(), "watch of the workspaces")
    tasks.start(composed.common.policy_file.run(), "watch of the policy file")
    tasks.start(composed.sessions.places.run(), "who waits for a place")
    tasks.start(composed.builds.collecting.run(), "collecting what nobody uses")


async def _settle(composed: Composed) -> None:
    await composed.launches.settled()
    await composed.builds.recorded.forsake()


def _note_imports(where: Path) -> None:
    """What is imported, as a note in the data folder: the launcher's idle memory is a promise."""
    names = sorted({name.partition(".")[0] for name in sys.modules})
    write_private(where, json.dumps(names))
