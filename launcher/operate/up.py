"""`repolaunch up`: the whole service on one machine, in the foreground.

Order of start: registry, sessions' network, volume helper, proxy, hub, launcher. Order of stop: sessions (they save),
then launcher, hub, proxy, registry. An engine that runs is left running; workspaces are never touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import resource
import signal
import socket
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.operate import build_engine, checks, example, ground, hub_database, logs, plan, sessions, stores
from launcher.operate.children import Family
from launcher.operate.client import Client, Refused
from launcher.operate.installation import SERVICE, Installation, InstallationError, only_one
from launcher.operate.leftovers import keep_ending_unknown_sessions
from launcher.operate.passwords import announcement
from launcher.operate.printer import Printer
from launcher.settings import SettingWrong

if TYPE_CHECKING:
    from launcher.settings import Settings

log = logging.getLogger(__name__)
ENOUGH_FILES = 10_500
OTHER_FILES = 500
"""Open files that the launcher may need beside one for each watcher."""
SIGN_IN = "/api/v1/login?as=member&next=/"
"""Where members sign in, also those whom this browser has made a guest before."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asked of `up`."""

    example: bool = True
    url: str = ""
    ref: str = ""
    json: bool = False


class Up:
    """One run of the service."""

    def __init__(self, installation: Installation, settings: Settings, wanted: Wanted) -> None:
        """Prepare; nothing is started yet."""
        self._installation, self._settings, self._wanted = installation, settings, wanted
        run = installation.path("run")
        self._family = Family(installation.path("logs"), run / "children.json")
        self._run = run
        self._anew = False

    async def run(self) -> bool:
        """Start everything, launch what was asked for, stay until SIGINT, SIGTERM or SIGHUP, stop everything.

        SIGHUP says that the terminal was closed; under `nohup` it means nothing.
        Returns whether this program is to be started again, as SIGUSR2 asks: then nothing was stopped.
        Raises InstallationError when something cannot be started; what was started by then is stopped.
        """
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGUSR2, self._begin_anew, stop)
        with only_one(self._installation):
            await checks.check(self._installation, self._settings)
            os.umask(0o077)  # logs, databases, notes: their owner's alone
            if few := too_few(raise_descriptor_limit()):
                self._say(few)
            async with AsyncExitStack() as stack:
                started = asyncio.create_task(self._start(stack))
                stopped = asyncio.create_task(stop.wait())
                await asyncio.wait({started, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if not started.done():
                    started.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await started
                else:
                    started.result()
                    await self._stay(stopped)
                    if self._anew:
                        stack.pop_all()  # nothing is stopped: the next `up` replaces each part in its turn
                        return True
                self._say("Stopping: sessions save and stop; workspaces stay.")
            await self._family.stop()  # what an earlier run left, if a signal came before it was replaced
            self._say("Stopped.")
            return False

    def _begin_anew(self, stop: asyncio.Event) -> None:
        self._anew = True
        stop.set()

    async def _start(self, stack: AsyncExitStack) -> None:
        left = await asyncio.to_thread(self._family.find_left)
        for name in left:
            self._say(f"An earlier run left its {name} behind; it is replaced.")
        if "proxy" not in left:
            await asyncio.to_thread(check_port, self._settings.host, self._settings.port)
        docker = await ground.look(self._settings)
        stack.push_async_callback(self._family.stop)
        found = await ground.lay(stack, docker, self._installation, self._settings)
        await self._family.end_left("launcher")  # nobody uses a database while its tables are changed
        await plan.migrate(self._installation, self._settings)
        await asyncio.to_thread(hub_database.check, self._installation)
        await build_engine.start(stack, docker, self._installation, self._settings, self._say)
        builds = build_engine.place(self._installation, self._settings)
        plans = plan.Plan(self._installation, self._settings, found.gateway, found.engine_root, builds, found.views)
        if self._settings.mount_stores and not found.views:
            self._say(stores.NOT_SEEN)
        self._say(await found.walls)
        stack.enter_context(ground.task(found.guard.watch()))
        small = logs.keep_small(self._family.processes, self._installation.path("logs"))
        stack.enter_context(ground.task(small))
        for child in plans.children(with_example=self._wanted.example):
            await self._family.start(child)
            if child.name == "hub":
                await plans.end_unknown_sessions()
                stack.push_async_callback(sessions.stop_all, plans.hub_api_url, self._installation)
            self._say(f"{child.name} is ready")
        stack.enter_context(ground.task(keep_ending_unknown_sessions(plans.hub_api_url, self._installation)))
        await self._family.end_left()
        plans.note()
        stack.callback((self._run / SERVICE).unlink, missing_ok=True)

    async def _stay(self, stopped: asyncio.Task[bool]) -> None:
        if self._wanted.json:
            print(
                json.dumps({"base_url": self._settings.base_url, "data": str(self._installation.folder)}),
                flush=True,
            )  # the one line that --json promises
        launch = asyncio.create_task(self._launch())
        await stopped
        launch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await launch

    async def _launch(self) -> None:
        base, password = self._settings.base_url, announcement(self._installation, self._settings)
        if password:
            self._say(f"Members sign in at {base}{SIGN_IN} with any name and the password {password}")
            self._say("  (printed once; it is kept in the data folder, secrets/shared-password)")
        url, ref = self._wanted.url, self._wanted.ref
        if not url and self._wanted.example:
            url, ref = f"git://127.0.0.1:{self._installation.ports.example}/{example.NAME}", "main"
        if not url:
            self._say(f"Ready: {base}/")
            return
        client = Client(self._installation.service()["local_url"], self._installation.secret("operator-token"), base)
        try:
            final = await client.launch({"url": url, "ref": ref}, Printer(self._say))
            if final["type"] == "ready":
                await self._tell(client, final)
        except Refused as refused:
            self._say(f"{url} could not be launched. {refused}")
            return
        self._say("Press Ctrl-C to stop; every workspace is kept.")

    async def _tell(self, client: Client, final: dict[str, Any]) -> None:
        entry = await client.entry(final["project"])
        self._say(f"\nYour session:    {entry.address}")
        self._say("  (for yourself: this address lets whoever has it into your own project)")
        self._say(f"Link to share:   {self._settings.base_url}{final['launch_link']}")
        self._say("  (whoever opens it gets the same environment in a project of their own)")
        self._say(f"\nOpen this link:  {self._settings.base_url}{final['launch_link']}")

    def _say(self, line: str) -> None:
        stream = sys.stderr if self._wanted.json else sys.stdout
        try:
            print(line, file=stream, flush=True)  # people read this
        except OSError:  # the terminal was closed: nobody reads, and everything is still to be stopped in order
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def check_port(host: str, port: int) -> None:
    """Look whether the public address is ours to listen on. Blocks.

    Raises SettingWrong for a host that is not this machine's, InstallationError for a port that is taken.
    """
    family, where = checks.addresses(host, port)[0]
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(where)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise SettingWrong("host", repr(host), "it is no address of this machine") from None
            raise InstallationError(
                f"The service cannot listen on {host} port {port}: {error.strerror}. Choose another one with --port."
            ) from None


def raise_descriptor_limit() -> int:
    """As many open files as the system lets us: each watcher and each session is one or two. Returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def too_few(files: int) -> str:
    """What to say of a machine that lets a process open so few files; `""`: they are enough."""
    if files in {resource.RLIM_INFINITY, -1} or files >= ENOUGH_FILES:
        return ""
    watchers = max(files - OTHER_FILES, 0)
    return (
        f"A process may open {files} files here, so some {watchers} people can watch launches at one time. "
        "Where more are expected, raise that limit for whatever starts this (`ulimit -Hn`, systemd's LimitNOFILE=)."
    )
